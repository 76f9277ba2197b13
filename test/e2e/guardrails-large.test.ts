/**
 * Prompts of a megabyte that go through all local guardrails do not hold other requests up: they are screened on a
 * pool thread that gives way to the acceptors. `WEIR_LONG=1` measures for longer.
 */
import { afterAll, beforeAll, expect, it } from "vitest";
import { PII_TYPES } from "../../src/config/traffic.js";
import { oneProvider, type RunningGateway, startGateway } from "./gateway.js";
import { Client } from "./traffic.js";
import { chat, type HandUpstream, startHandUpstream } from "./wire.js";

const MEGABYTE = 1_048_576;
const PHASE_MS = process.env.WEIR_LONG === "1" ? 5_000 : 600;
/** Each has one phase with large prompts and one without. */
const TURNS = 2;
/** Others use the machine as well: what holds once holds. */
const TRIES = 8;
const SMALL_CLIENTS = 4;
const LARGE_CLIENTS = 2;
/** What a busy machine's clock and scheduler may add. */
const SLACK_MS = 10;

const ANSWER = JSON.stringify({
  id: "c",
  object: "chat.completion",
  model: "m",
  choices: [{ index: 0, message: { role: "assistant", content: "Yes." }, finish_reason: "stop" }],
  usage: { prompt_tokens: 7, completion_tokens: 9, total_tokens: 16 },
});

const literals = Array.from({ length: 200 }, (_, index) => ({ kind: "literal", value: `forbidden phrase ${index}` }));
const regexes = Array.from({ length: 20 }, (_, index) => ({
  kind: "regex",
  value: `(?i)secret[- ]?(project|plan)\\s+[a-z]+${index}\\b`,
}));
const GUARDRAILS = [
  { name: "words", kind: "keyword", patterns: [...literals, ...regexes], mandatory: true },
  { name: "data", kind: "pii", detectors: PII_TYPES.map((type) => ({ type })), mandatory: true },
];

const SENTENCE = "A long walk along the river in the evening light, and nobody to ask the way. ";
const MAIL = "Write to ann@example.com when you are there. ";

/** A megabyte of prose, with something to mask here and there. */
function largePrompt(): string {
  let text = "";
  while (text.length < MEGABYTE) text += SENTENCE.repeat(200) + MAIL;
  return JSON.stringify(chat({}, { messages: [{ role: "user", content: text }] }));
}

let upstream: HandUpstream;
let gateway: RunningGateway;
let largest = "";

beforeAll(async () => {
  upstream = await startHandUpstream((response, body) => {
    if (body.length > MEGABYTE) largest = body.toString("latin1");
    response.writeHead(200, { "content-type": "application/json", "content-length": Buffer.byteLength(ANSWER) });
    response.end(ANSWER);
  });
  gateway = await startGateway({
    config: { acceptors: 2, limits: { body_bytes: 4 * MEGABYTE } },
    resources: { ...oneProvider(upstream.url), guardrails: GUARDRAILS },
  });
});
afterAll(async () => {
  await gateway?.dispose();
  await upstream?.close();
});

const PATH = "/v1/chat/completions";
const SMALL = JSON.stringify(chat());

async function post(client: Client, body: string): Promise<number> {
  const begun = performance.now();
  const { status } = await client.post(PATH, body);
  if (status !== 200) throw new Error(`a request was answered with ${status}`);
  return performance.now() - begun;
}

/** How long small requests took, milliseconds; meanwhile large ones one after the other, if `large` is given. */
async function phase(clients: readonly Client[], large: string | null): Promise<{ times: number[]; larges: number }> {
  const end = performance.now() + PHASE_MS;
  const times: number[] = [];
  let larges = 0;
  const small = async (client: Client): Promise<void> => {
    while (performance.now() < end) {
      times.push(await post(client, SMALL));
      // At a pace, not at full speed: with all processors in use, each request would only wait for the others.
      await new Promise((resume) => setTimeout(resume, 4));
    }
  };
  const big = async (client: Client): Promise<void> => {
    while (large !== null && performance.now() < end) {
      await post(client, large);
      larges += 1;
    }
  };
  await Promise.all(clients.map((client, index) => (index < SMALL_CLIENTS ? small(client) : big(client))));
  return { times, larges };
}

function p99(times: number[]): number {
  times.sort((one, other) => one - other);
  return times[Math.ceil(times.length * 0.99) - 1] ?? Number.POSITIVE_INFINITY;
}

it("a megabyte through all guardrails keeps the 99th percentile of other requests within twice what it was", async () => {
  const clients = Array.from({ length: SMALL_CLIENTS + LARGE_CLIENTS }, () => new Client(gateway.url, 1));
  const large = largePrompt();
  // Until everything has been compiled.
  await phase(clients, large);
  expect(largest).toContain("Write to [EMAIL] when");
  expect(largest).not.toContain("ann@example.com");
  const found: { quiet: number; busy: number; larges: number }[] = [];
  for (let tried = 0; tried < TRIES; tried += 1) {
    const quiet: number[] = [];
    const busy: number[] = [];
    let larges = 0;
    for (let turn = 0; turn < TURNS; turn += 1) {
      quiet.push(...(await phase(clients, null)).times);
      const among = await phase(clients, large);
      busy.push(...among.times);
      larges += among.larges;
    }
    found.push({ quiet: p99(quiet), busy: p99(busy), larges });
    if (p99(busy) <= 2 * p99(quiet) + SLACK_MS) break;
  }
  for (const client of clients) client.close();
  const best = found.at(-1);
  expect(best?.larges).toBeGreaterThan(0);
  expect(best?.busy, JSON.stringify(found)).toBeLessThanOrEqual(2 * (best?.quiet ?? 0) + SLACK_MS);
  if (process.env.WEIR_LONG === "1") console.info(found);
}, 120_000);
