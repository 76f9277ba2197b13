/**
 * From which size on is a request better translated on a pool thread? For bodies of growing size: how long the
 * translation holds its thread up, and how long the acceptor is held up when the pool does it (copy out, copy back):
 * `npm run build && npx tsx bench/inline-bytes.ts`. The best of several rounds, microseconds.
 *
 * `pool.inline_bytes` is the largest size at which translating in place holds the acceptor up for less than
 * half a millisecond: ten times what a small request costs it, and a hundredth of what a caller notices.
 */
import { type TranslationJob, translateRequest } from "../src/dialects/hub.js";
import { ComputePool } from "../src/runtime/compute-pool.js";

const ROUNDS = 7;
const SIZES = [4, 16, 32, 64, 128, 256, 512, 1024].map((kilobytes) => kilobytes * 1024);
const SENTENCE = "A long walk along the river in the evening light, and nobody to ask the way; ";

function job(bytes: number): TranslationJob {
  const messages: object[] = [{ role: "system", content: "You answer in one sentence." }];
  for (let length = 0; length < bytes; length += 2_000) {
    messages.push({ role: length % 4_000 === 0 ? "user" : "assistant", content: SENTENCE.repeat(25).slice(0, 1_950) });
  }
  messages.push({ role: "user", content: "Go on." });
  return {
    client: "openai-chat",
    wire: "anthropic-messages",
    body: Buffer.from(JSON.stringify({ model: "some-model", messages, max_completion_tokens: 100 })),
    traits: {
      provider: "anthropic",
      model: "claude-sonnet-4-5",
      defaultMaxTokens: 4_096,
      maxTokensField: "max_tokens",
      structuredOutput: "native",
    },
    stream: false,
  };
}

function best(values: readonly number[]): string {
  return (Math.min(...values) * 1_000).toFixed(0).padStart(8);
}

const workerFile = new URL("../dist/runtime/pool-jobs.js", import.meta.url);
const pool = new ComputePool({ threads: 1, queue: 16, idleMs: 60_000, workerFile });
for (let round = 0; round < 200; round += 1) translateRequest(job(16_384));
for (let round = 0; round < 50; round += 1) await pool.translate(job(16_384));

console.log("   bytes  in place   handing over  until it is back");
for (const size of SIZES) {
  const work = job(size);
  const [inPlace, over, back]: [number[], number[], number[]] = [[], [], []];
  for (let round = 0; round < ROUNDS; round += 1) {
    let start = performance.now();
    translateRequest(work);
    inPlace.push(performance.now() - start);
    start = performance.now();
    const answer = pool.translate(work);
    over.push(performance.now() - start);
    await answer;
    back.push(performance.now() - start);
  }
  console.log(`${String(size).padStart(8)} ${best(inPlace)} ${best(over)}     ${best(back)}`);
}
await pool.destroy();
