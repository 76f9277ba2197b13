import { describe, expect, it } from "vitest";
import type { GuardrailRule } from "../../../src/config/traffic.js";
import { askAll, NOT_ASKED } from "../../../src/guardrails/ask-remote.js";
import type { LocalRule } from "../../../src/guardrails/local-rules.js";
import { remoteRuleOf } from "../../../src/guardrails/remote-rules.js";
import type { Question, RemoteVerdict } from "../../../src/guardrails/rule.js";
import type { PlainCall } from "../../../src/providers/plain-call.js";
import { guardrail, WEBHOOK } from "./samples.js";

type RemoteKind = Exclude<GuardrailRule, LocalRule>;

interface Seen {
  url: string;
  headers: Record<string, string>;
  body: Record<string, unknown>;
}

/** A service that answers by the address; a number is a status. */
function service(answer: (seen: Seen) => unknown) {
  const calls: Seen[] = [];
  const post = async ({ url, headers, body }: PlainCall) => {
    const pairs: Record<string, string> = {};
    for (let at = 0; at < headers.length; at += 2) pairs[headers[at]!] = headers[at + 1]!;
    const seen = { url, headers: pairs, body: JSON.parse(body.toString()) };
    calls.push(seen);
    const said = answer(seen);
    const status = typeof said === "number" ? said : 200;
    return { status, body: Buffer.from(typeof said === "string" ? said : JSON.stringify(said)) };
  };
  return { calls, services: { post, credential: () => ({ access_key_id: "AKID", secret_access_key: "s3cret" }) } };
}

const QUESTION: Question = {
  direction: "input",
  texts: ["write to ann@example.com", "and 😀 bob"],
  requestId: "req_1",
  model: "small",
  apiKey: "team-a",
};
const OUTPUT: Question = { ...QUESTION, direction: "output" };

function check(rule: RemoteKind, answer: (seen: Seen) => unknown, question = QUESTION) {
  const { calls, services } = service(answer);
  const verdict = remoteRuleOf(rule, services).check(question, new AbortController().signal);
  return { calls, verdict };
}

function shown(verdict: RemoteVerdict): string[] {
  if (verdict.action !== "mask") throw new Error(`the verdict is ${verdict.action}`);
  return QUESTION.texts.map((text, index) => {
    let out = "";
    let at = 0;
    for (const { start, end, text: instead } of verdict.replacements[index] ?? []) {
      out += text.slice(at, start) + instead;
      at = end;
    }
    return out + text.slice(at);
  });
}

const MODERATION: RemoteKind = { kind: "openai_moderation", apiBase: null, apiKey: "k", model: "omni", thresholds: {} };
const CLOUD: RemoteKind = {
  kind: "bedrock",
  guardrailIdentifier: "arn:aws:bedrock:eu-west-1:1:guardrail/g1",
  guardrailVersion: "DRAFT",
  region: "eu-west-1",
  apiBase: null,
  providerKey: "aws",
  credential: null,
};
const PRESIDIO: RemoteKind = {
  kind: "presidio",
  analyzerUrl: "http://analyzer.test",
  anonymizerUrl: null,
  language: "en",
  entities: [{ type: "PERSON", action: "block" }],
  scoreThreshold: 0.4,
  action: "mask",
  operator: "replace",
};
const SAFETY: RemoteKind = {
  kind: "azure_content_safety",
  endpoint: "http://safety.test/",
  apiKey: "k",
  apiVersion: "2024-09-01",
  severities: { Hate: 2 },
  blocklists: ["house"],
  promptShield: true,
};
const LAKERA: RemoteKind = { kind: "lakera", apiBase: null, apiKey: "k", projectId: "p1" };
const KINDS: RemoteKind[] = [WEBHOOK as RemoteKind, MODERATION, CLOUD, PRESIDIO, SAFETY, LAKERA];

describe("webhook", () => {
  const rule: RemoteKind = { kind: "webhook", url: "http://judge.test/check?x=1", headers: { "x-token": "t" } };

  it("is told who asks what, and passes, blocks and masks", async () => {
    const { calls, verdict } = check(rule, () => ({ action: "pass" }));
    expect(await verdict).toEqual({ action: "pass" });
    expect(calls).toEqual([
      {
        url: rule.url,
        headers: { "x-token": "t" },
        body: { direction: "input", request_id: "req_1", model: "small", api_key: "team-a", texts: QUESTION.texts },
      },
    ]);
    const blocked = check(rule, () => ({ action: "block", category: "legal" }));
    expect(await blocked.verdict).toEqual({ action: "block", category: "legal" });
    const masked = check(rule, () => ({ action: "mask", texts: [null, "and nobody"] }));
    expect(shown(await masked.verdict)).toEqual([QUESTION.texts[0], "and nobody"]);
  });

  it("has no verdict where it answers something else", async () => {
    const answers = [
      {},
      { action: "PASS" },
      { action: "mask", texts: ["one"] },
      { action: "mask", texts: [1, 2] },
      "no",
    ];
    for (const answer of answers) await expect(check(rule, () => answer).verdict).rejects.toThrow(/answered|masked/);
  });

  it("cannot be made to tell the match by way of the category", async () => {
    const { verdict } = check(rule, () => ({ action: "block", category: `"${QUESTION.texts[0]}"` }));
    expect(await verdict).toEqual({ action: "block", category: "webhook" });
  });
});

describe("openai_moderation", () => {
  it("blocks what is flagged and names the category", async () => {
    const { calls, verdict } = check(MODERATION, () => ({
      results: [
        { flagged: false, categories: {}, category_scores: {} },
        { flagged: true, categories: { hate: false, violence: true }, category_scores: { violence: 0.9 } },
      ],
    }));
    expect(await verdict).toEqual({ action: "block", category: "violence" });
    expect(calls[0]?.url).toBe("https://api.openai.com/v1/moderations");
    expect(calls[0]?.headers.authorization).toBe("Bearer k");
    expect(calls[0]?.body).toEqual({ model: "omni", input: QUESTION.texts });
  });

  it("goes by its thresholds where there are some", async () => {
    const scores = { results: [{ flagged: true, categories: { hate: true }, category_scores: { hate: 0.5 } }] };
    const rule: RemoteKind = { ...MODERATION, thresholds: { hate: 0.6, violence: 0.1 } };
    expect(await check(rule, () => scores).verdict).toEqual({ action: "pass" });
    expect(await check({ ...rule, thresholds: { hate: 0.5 } }, () => scores).verdict).toEqual({
      action: "block",
      category: "hate",
    });
  });

  it("cuts long texts and sends them in several calls", async () => {
    const texts = ["word ".repeat(30_000)];
    const { calls, verdict } = check(MODERATION, () => ({ results: [{ flagged: false }] }), { ...QUESTION, texts });
    expect(await verdict).toEqual({ action: "pass" });
    expect(calls.length).toBeGreaterThan(1);
    const sent = calls
      .flatMap(({ body }) => body.input as string[])
      .sort()
      .join("");
    expect(sent.length).toBe(texts[0]?.length);
  });
});

describe("bedrock", () => {
  const intervened = (sensitive: unknown, other: object = {}) => ({
    action: "GUARDRAIL_INTERVENED",
    outputs: [{ text: "…" }],
    assessments: [{ sensitiveInformationPolicy: sensitive, ...other }],
  });

  it("signs ApplyGuardrail and says which side it asks about", async () => {
    const { calls, verdict } = check(CLOUD, () => ({ action: "NONE", outputs: [], assessments: [] }), OUTPUT);
    expect(await verdict).toEqual({ action: "pass" });
    expect(calls[0]?.url).toBe(
      "https://bedrock-runtime.eu-west-1.amazonaws.com/guardrail/arn%3Aaws%3Abedrock%3Aeu-west-1%3A1%3Aguardrail%2Fg1/version/DRAFT/apply",
    );
    expect(calls[0]?.headers.authorization).toMatch(/^AWS4-HMAC-SHA256 Credential=AKID\/\d{8}\/eu-west-1\/bedrock\//);
    expect(calls[0]?.body).toEqual({ source: "OUTPUT", content: QUESTION.texts.map((text) => ({ text: { text } })) });
  });

  it("masks what it anonymizes wherever it stands, and blocks what it blocks", async () => {
    const mail = { match: "ann@example.com", type: "EMAIL", action: "ANONYMIZED" };
    const masked = await check(CLOUD, () => intervened({ piiEntities: [mail], regexes: [] })).verdict;
    expect(shown(masked)).toEqual(["write to {EMAIL}", QUESTION.texts[1]]);
    const topic = { topicPolicy: { topics: [{ name: "Weather", type: "DENY", action: "BLOCKED" }] } };
    const blocked = await check(CLOUD, () => intervened({ piiEntities: [mail], regexes: [] }, topic)).verdict;
    expect(blocked).toEqual({ action: "block", category: "Weather" });
    expect(await check(CLOUD, () => intervened({})).verdict).toMatchObject({ action: "block" });
  });
});

describe("presidio", () => {
  const found = (entity_type: string, start: number, end: number, score = 0.9) => ({ entity_type, start, end, score });

  it("masks by positions, which count code points", async () => {
    const { calls, verdict } = check(PRESIDIO, ({ body }) =>
      body.text === QUESTION.texts[1]
        ? [found("NAME", 6, 9), found("NRP", 0, 3, 0.1)]
        : [found("EMAIL_ADDRESS", 9, 24)],
    );
    expect(shown(await verdict)).toEqual(["write to <EMAIL_ADDRESS>", "and 😀 <NAME>"]);
    expect(calls[0]).toMatchObject({
      url: "http://analyzer.test/analyze",
      body: { text: QUESTION.texts[0], language: "en", entities: ["PERSON"], score_threshold: 0.4 },
    });
  });

  it("blocks for the entities that are to be blocked", async () => {
    expect(await check(PRESIDIO, () => [found("PERSON", 0, 3)]).verdict).toEqual({
      action: "block",
      category: "PERSON",
    });
  });

  it("lets the anonymizer mask where there is one", async () => {
    const rule: RemoteKind = { ...PRESIDIO, anonymizerUrl: "http://anonymizer.test/", operator: "hash" };
    const { calls, verdict } = check(rule, ({ url, body }) => {
      if (url.endsWith("/analyze")) return body.text === QUESTION.texts[0] ? [found("EMAIL_ADDRESS", 9, 24)] : [];
      return { text: "write to #", items: [] };
    });
    expect(shown(await verdict)).toEqual(["write to #", QUESTION.texts[1]]);
    expect(calls.at(-1)?.body).toEqual({
      text: QUESTION.texts[0],
      anonymizers: { DEFAULT: { type: "hash", hash_type: "sha256" } },
      analyzer_results: [found("EMAIL_ADDRESS", 9, 24)],
    });
  });
});

describe("azure_content_safety", () => {
  const calm = { blocklistsMatch: [], categoriesAnalysis: [{ category: "Hate", severity: 0 }] };
  const answer =
    (analyze: unknown, attackDetected: boolean) =>
    ({ url }: Seen) =>
      url.includes("shieldPrompt") ? { userPromptAnalysis: { attackDetected }, documentsAnalysis: [] } : analyze;

  it("asks for harm and for attacks, of answers only for harm", async () => {
    const { calls, verdict } = check(SAFETY, answer(calm, false));
    expect(await verdict).toEqual({ action: "pass" });
    expect(calls).toHaveLength(4);
    const analyze = calls.find(({ url }) => url.includes("text:analyze"));
    expect(analyze?.url).toBe("http://safety.test/contentsafety/text:analyze?api-version=2024-09-01");
    expect(analyze?.headers["ocp-apim-subscription-key"]).toBe("k");
    expect(analyze?.body).toMatchObject({
      categories: ["Hate"],
      blocklistNames: ["house"],
      outputType: "FourSeverityLevels",
    });
    const shield = calls.find(({ url }) => url.includes("shieldPrompt"));
    expect(shield?.body).toEqual({ userPrompt: QUESTION.texts[0], documents: [] });
    const output = check(SAFETY, answer(calm, true), OUTPUT);
    expect(await output.verdict).toEqual({ action: "pass" });
  });

  it("blocks by severity, by list and by attack", async () => {
    const hate = { blocklistsMatch: [], categoriesAnalysis: [{ category: "Hate", severity: 2 }] };
    expect(await check(SAFETY, answer(hate, false)).verdict).toEqual({ action: "block", category: "Hate" });
    const listed = { ...calm, blocklistsMatch: [{ blocklistName: "house", blocklistItemText: "secret" }] };
    expect(await check(SAFETY, answer(listed, false)).verdict).toEqual({ action: "block", category: "house" });
    expect(await check(SAFETY, answer(calm, true)).verdict).toEqual({ action: "block", category: "prompt_attack" });
  });
});

describe("lakera", () => {
  it("sends one message of the right role and blocks what is flagged", async () => {
    const breakdown = [
      { detected: false, detector_type: "pii" },
      { detected: true, detector_type: "prompt_attack" },
    ];
    const { calls, verdict } = check(LAKERA, () => ({ flagged: true, breakdown }), OUTPUT);
    expect(await verdict).toEqual({ action: "block", category: "prompt_attack" });
    expect(calls[0]?.url).toBe("https://api.lakera.ai/v2/guard");
    expect(calls[0]?.body).toEqual({
      messages: [{ role: "assistant", content: QUESTION.texts.join("\n") }],
      breakdown: true,
      project_id: "p1",
    });
    expect(await check(LAKERA, () => ({ flagged: false })).verdict).toEqual({ action: "pass" });
  });
});

describe("every remote kind", () => {
  it.each(KINDS)("$kind has no verdict on an error, on garbage and on an empty answer", async (rule) => {
    for (const answer of [500, 403, "no JSON", {}, "null"]) {
      await expect(check(rule, () => answer).verdict, JSON.stringify(answer)).rejects.toThrow(/answered/);
    }
  });

  it("that cannot be asked passes or blocks as it is told, by direction, within its time", async () => {
    const silent = { check: () => new Promise<never>(() => {}) };
    const ask = (failOpen: boolean, outputFailOpen: boolean, question: Question) => {
      const slow = guardrail("slow", WEBHOOK, { failOpen, outputFailOpen, timeoutMs: 5 });
      return askAll([{ owner: 0, guardrail: slow, rule: silent }], question, new AbortController().signal);
    };
    expect((await ask(true, false, QUESTION))[0]).toMatchObject({
      verdict: { action: "pass" },
      failed: "no answer in time",
    });
    expect((await ask(true, false, OUTPUT))[0]?.verdict).toEqual({ action: "block", category: NOT_ASKED });
    expect((await ask(false, true, QUESTION))[0]?.verdict).toEqual({ action: "block", category: NOT_ASKED });
    expect((await ask(false, true, OUTPUT))[0]?.verdict).toEqual({ action: "pass" });
  });
});
