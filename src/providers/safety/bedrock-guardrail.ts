/** The bedrock kind: ApplyGuardrail. What it anonymizes is masked where it stands, what it blocks is blocked. */
import type { GuardrailRule } from "../../config/traffic.js";
import { asArray, asObject, asText, type JsonObject } from "../../dialects/json-values.js";
import { authContext, type Credentials } from "../auth/auth.js";
import { credentialsFor } from "../auth/credentials.js";
import { processEnvironment } from "../../config/process-environment.js";
import { PASS, type Question, RemoteError, type RemoteRule, type RemoteVerdict, type Replacement } from "./verdict.js";
import {
  askForObject,
  batchesOf,
  below,
  type Chunk,
  chunksOf,
  firstOf,
  jsonBody,
  merged,
  type Services,
} from "./service.js";

type CloudRule = Extract<GuardrailRule, { kind: "bedrock" }>;

/** A call takes 25 text units of 1,000 characters. */
const CALL = { characters: 20_000, pieces: 64 };
const CATEGORY = "guardrail";

export function bedrockGuardrail(rule: CloudRule, services: Services): RemoteRule {
  const base = rule.apiBase ?? `https://bedrock-runtime.${rule.region}.amazonaws.com`;
  const path = `/guardrail/${encodeURIComponent(rule.guardrailIdentifier)}/version/${encodeURIComponent(rule.guardrailVersion)}/apply`;
  const url = below(base, path);
  let credentials: Credentials | null = null;
  return {
    async check(question, signal) {
      credentials ??= credentialsOf(rule, services);
      const signer = credentials;
      const replacements: Replacement[][] = question.texts.map(() => []);
      let masked = "";
      const batches = batchesOf(chunksOf(question.texts, CALL.characters), CALL);
      const blocked = await firstOf(batches, async (batch) => {
        const body = bodyOf(question, batch);
        const plain = ["content-type", "application/json"];
        const headers = await signer.headers({ method: "POST", url, headers: plain, body });
        const verdict = readVerdict(await askForObject(services, { url, headers, body, signal }));
        if (verdict.block !== "") return verdict.block;
        for (const { match, type } of verdict.masks) {
          masked = type;
          for (const chunk of batch) occurrences(chunk, match, type, replacements[chunk.index] as Replacement[]);
        }
        return null;
      });
      return verdictOf(blocked, masked, replacements);
    },
  };
}

function verdictOf(blocked: string | null, masked: string, replacements: Replacement[][]): RemoteVerdict {
  if (blocked !== null) return { action: "block", category: blocked };
  if (masked === "") return PASS;
  if (replacements.every((one) => one.length === 0)) throw new RemoteError("anonymized what is not in the text");
  return { action: "mask", category: masked, replacements: replacements.map(merged) };
}

function credentialsOf(rule: CloudRule, services: Services): Credentials {
  const given = rule.providerKey === "" ? rule.credential : services.credential(rule.providerKey);
  if (given === undefined) throw new RemoteError("its provider key is not there");
  return credentialsFor("bedrock", { credential: given, region: rule.region }, authContext(processEnvironment()));
}

function bodyOf({ direction }: Question, batch: readonly Chunk[]): Buffer {
  return jsonBody({
    source: direction === "input" ? "INPUT" : "OUTPUT",
    content: batch.map(({ text }) => ({ text: { text } })),
  });
}

interface Reading {
  /** "" = nothing blocks. */
  readonly block: string;
  readonly masks: readonly { readonly match: string; readonly type: string }[];
}

/** Lists of findings inside an assessment, and what names a finding in each. */
const FINDINGS: readonly (readonly [policy: string, list: string, name: string])[] = [
  ["topicPolicy", "topics", "name"],
  ["contentPolicy", "filters", "type"],
  ["wordPolicy", "customWords", ""],
  ["wordPolicy", "managedWordLists", "type"],
  ["sensitiveInformationPolicy", "piiEntities", "type"],
  ["sensitiveInformationPolicy", "regexes", "name"],
  ["contextualGroundingPolicy", "filters", "type"],
  ["automatedReasoningPolicy", "findings", ""],
];

function readVerdict(answer: JsonObject): Reading {
  const action = asText(answer.action);
  if (action === "NONE") return { block: "", masks: [] };
  if (action !== "GUARDRAIL_INTERVENED") throw new RemoteError("answered without an action");
  const masks: { match: string; type: string }[] = [];
  for (const item of asArray(answer.assessments)) {
    const assessment = asObject(item);
    for (const [policy, list, name] of FINDINGS) {
      for (const found of asArray(asObject(assessment?.[policy])?.[list])) {
        const finding = asObject(found);
        const type = asText(finding?.[name]) || CATEGORY;
        if (finding?.action === "BLOCKED") return { block: type, masks: [] };
        const match = asText(finding?.match);
        if (finding?.action === "ANONYMIZED" && match !== "") masks.push({ match, type });
      }
    }
  }
  // It stepped in, for a reason that is not told: that is a block.
  return masks.length === 0 ? { block: CATEGORY, masks } : { block: "", masks };
}

/** The service tells what it found, not where: every place where it stands is masked. */
function occurrences(chunk: Chunk, match: string, type: string, out: Replacement[]): void {
  for (let at = chunk.text.indexOf(match); at >= 0; at = chunk.text.indexOf(match, at + match.length)) {
    out.push({ start: chunk.start + at, end: chunk.start + at + match.length, text: `{${type}}` });
  }
}
