/** One server that plays every service a guardrail may ask: what holds the word "falcon" is bad. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export interface Judge {
  readonly url: string;
  /** Bodies of the calls so far. */
  readonly calls: { path: string; body: string }[];
  /** Calls whose caller has left before the answer. */
  left: number;
  /** Answers with this instead; 0 = never answers. */
  status: number | null;
  close(): Promise<void>;
}

const BAD = /falcon/i;

export async function startJudge(): Promise<Judge> {
  const server = createServer((request, response) => void answer(request, response, judge));
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  const judge: Judge = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    calls: [],
    left: 0,
    status: null,
    close: () => closed(server),
  };
  return judge;
}

function closed(server: Server): Promise<void> {
  server.closeAllConnections();
  return new Promise((done) => server.close(() => done()));
}

async function answer(request: IncomingMessage, response: ServerResponse, judge: Judge): Promise<void> {
  const parts: Buffer[] = [];
  for await (const part of request) parts.push(part as Buffer);
  const body = Buffer.concat(parts).toString();
  const path = request.url ?? "";
  judge.calls.push({ path, body });
  response.on("close", () => {
    if (!response.writableFinished) judge.left += 1;
  });
  if (judge.status === 0) return;
  response.writeHead(judge.status ?? 200, { "content-type": "application/json" });
  response.end(JSON.stringify(verdict(path, BAD.test(body), JSON.parse(body))));
}

function verdict(path: string, bad: boolean, asked: Record<string, unknown>): unknown {
  if (path === "/webhook") return bad ? { action: "block", category: "birds" } : { action: "pass" };
  if (path === "/mask") {
    const texts = (asked.texts as string[]).map((text) => text.replace(/falcon/gi, "bird"));
    return { action: "mask", texts };
  }
  if (path.endsWith("/moderations")) {
    return {
      results: (asked.input as string[]).map((text) => ({ flagged: BAD.test(text), categories: { birds: true } })),
    };
  }
  if (path.startsWith("/guardrail/")) {
    const topics = [{ name: "birds", type: "DENY", action: "BLOCKED" }];
    return bad
      ? { action: "GUARDRAIL_INTERVENED", outputs: [], assessments: [{ topicPolicy: { topics } }] }
      : { action: "NONE", outputs: [], assessments: [] };
  }
  if (path === "/analyze") return bad ? [{ entity_type: "BIRD", start: 0, end: 3, score: 0.9 }] : [];
  if (path.includes("shieldPrompt")) return { userPromptAnalysis: { attackDetected: bad }, documentsAnalysis: [] };
  if (path.includes("text:analyze")) {
    return { blocklistsMatch: [], categoriesAnalysis: [{ category: "Hate", severity: bad ? 4 : 0 }] };
  }
  return { flagged: bad, breakdown: [{ detector_type: "birds", detected: bad }] };
}

/** The entries of every kind, all of which object to a falcon. */
export function entriesOf(url: string): Record<string, Record<string, unknown>> {
  return {
    keyword: { kind: "keyword", patterns: [{ kind: "literal", value: "FALCON" }] },
    regex: { kind: "keyword", patterns: [{ kind: "regex", value: "fal[ck]on\\b" }] },
    pii: {
      kind: "pii",
      custom_patterns: [{ name: "bird", regex: "(?i)falcon", action: "block" }],
      detectors: [{ type: "email", action: "block" }],
    },
    webhook: { kind: "webhook", url: `${url}/webhook` },
    moderation: { kind: "openai_moderation", endpoint: url, api_key: "secret-judge-key" },
    cloud: {
      kind: "bedrock",
      guardrail_id: "g1",
      guardrail_version: "1",
      region: "eu-west-1",
      endpoint: url,
      aws_credentials: { access_key_id: "AKIDEXAMPLE", secret_access_key: "secret-judge-key" },
    },
    presidio: { kind: "presidio", analyzer_url: url, default_action: "block" },
    safety: { kind: "azure_content_safety_text_moderation", endpoint: url, api_key: "secret-judge-key" },
    shield: {
      kind: "azure_content_safety",
      endpoint: url,
      api_key: "secret-judge-key",
      categories: ["Hate"],
    },
    guard: { kind: "lakera", endpoint: url, api_key: "secret-judge-key" },
  };
}
