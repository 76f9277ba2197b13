import { decode } from "gpt-tokenizer/encoding/o200k_base";
import { afterEach, describe, expect, test, vi } from "vitest";
import { ComputePool, type ComputePoolOptions, type EstimateJob } from "../../../src/runtime/compute-pool.js";

const bytes = (text: string): Uint8Array => Buffer.from(text, "utf8");

function job(prompt: string, answer: string, change: Partial<EstimateJob> = {}): EstimateJob {
  const request = JSON.stringify({ model: "small", messages: [{ role: "user", content: prompt }] });
  const whole = JSON.stringify({
    id: "chatcmpl-1",
    object: "chat.completion",
    choices: [{ index: 0, message: { role: "assistant", content: answer }, finish_reason: "stop" }],
  });
  return {
    dialect: "openai-chat",
    operation: "chat",
    request: bytes(request),
    answer: bytes(whole),
    answerBytesTotal: bytes(whole).length,
    streamed: false,
    ...change,
  };
}

const pools: ComputePool[] = [];
/** From sources: the workers load TypeScript through tsx, where the built gateway loads the .js beside it. */
function pool(change: Partial<ComputePoolOptions> = {}): ComputePool {
  const made = new ComputePool({
    threads: 1,
    queue: 4,
    idleMs: 60_000,
    workerFile: new URL("../../../src/runtime/pool-jobs.ts", import.meta.url),
    execArgv: ["--import", "tsx"],
    ...change,
  });
  pools.push(made);
  return made;
}
afterEach(async () => {
  for (const made of pools.splice(0)) await made.destroy();
});

describe("ComputePool", { timeout: 30_000 }, () => {
  test("starts no thread before the first job, and lets idle ones go", async () => {
    const one = pool({ idleMs: 50 });
    expect(one.stats.threads).toBe(0);
    await one.estimate(job("hello", "hello"));
    expect(one.stats).toMatchObject({ done: 1, failed: 0, full: 0, queued: 0 });
    await vi.waitFor(() => expect(one.stats.threads).toBe(0), 10_000);
    expect((await one.estimate(job("hello", "hello"))).outputTokens).toBeGreaterThan(0);
  });

  test("counts input and output, leaves the caller's bytes alone, and scales a sample", async () => {
    const one = pool();
    const words = "The quick brown fox jumps over the lazy dog. ".repeat(20);
    const whole = job(words, words);
    const before = Buffer.from(whole.request);
    const { inputTokens, outputTokens } = await one.estimate(whole);
    expect(inputTokens).toBeGreaterThan(190);
    expect(inputTokens).toBeLessThan(230);
    expect(outputTokens).toBeGreaterThan(190);
    expect(outputTokens).toBeLessThan(230);
    expect(Buffer.compare(before, Buffer.from(whole.request))).toBe(0);
    const scaled = await one.estimate({ ...whole, answerBytesTotal: whole.answer.length * 3 });
    expect(scaled.outputTokens).toBe(outputTokens * 3);
  });

  test("reads streams, cut ones too", async () => {
    const frames = Array.from(
      { length: 50 },
      () => `data: ${JSON.stringify({ choices: [{ index: 0, delta: { content: " word" } }] })}\n\n`,
    ).join("");
    const answer = bytes(frames).subarray(0, -20);
    const { outputTokens } = await pool().estimate(
      job("hi", "", { answer, streamed: true, answerBytesTotal: answer.length }),
    );
    expect(outputTokens).toBeGreaterThanOrEqual(48);
    expect(outputTokens).toBeLessThanOrEqual(51);
  });

  test("takes control tokens in a prompt for text", async () => {
    const { inputTokens } = await pool().estimate(job("<|endoftext|><|im_start|>", "x"));
    expect(inputTokens).toBeGreaterThan(4);
  });

  test("counts no output where there is none", async () => {
    const request = bytes('{"model":"m","input":"hello world"}');
    const embeddings = { dialect: "openai-embeddings", operation: "embeddings", request } as const;
    const { inputTokens, outputTokens } = await pool().estimate(job("", "", embeddings));
    expect(inputTokens).toBeGreaterThan(0);
    expect(outputTokens).toBe(0);
  });

  test("finds tokens that spell the text again, control tokens included", async () => {
    const prompt = `The quick brown fox\n\n\u{1f600} ${"你好".repeat(400)} <|endoftext|> ${"a".repeat(1000)}`;
    const ask = async (more: object) => {
      const answer = await pool().tokenize(bytes(JSON.stringify({ model: "m", prompt, ...more })));
      return JSON.parse(Buffer.from(answer).toString("utf8"));
    };
    const found = await ask({});
    expect(found).toMatchObject({ count: found.tokens.length, max_model_len: null, token_strs: null });
    expect(decode(found.tokens)).toBe(prompt);
    const spelled = await ask({ prompt: "The quick brown fox", return_token_strs: true });
    expect(spelled).toMatchObject({ count: 4, token_strs: ["The", " quick", " brown", " fox"] });
  });

  test("counts a text that is too long, and gives no tokens of it", async () => {
    const request = bytes(JSON.stringify({ model: "m", prompt: "word ".repeat(250_000), return_token_strs: true }));
    const answer = JSON.parse(Buffer.from(await pool().tokenize(request)).toString("utf8"));
    expect(answer).toEqual({ count: expect.any(Number), max_model_len: null, tokens: null, token_strs: null });
    expect(Math.abs(answer.count - 250_000)).toBeLessThan(1000);
  });

  test("is not hung by a megabyte of anything", async () => {
    const one = pool();
    for (const unit of ["a", " ", "\n", "你好", "\u{1f600}", "!", "1"]) {
      const began = performance.now();
      const { inputTokens } = await one.estimate(job(unit.repeat((1024 * 1024) / unit.length), "x"));
      expect(performance.now() - began, JSON.stringify(unit)).toBeLessThan(5000);
      expect(inputTokens, JSON.stringify(unit)).toBeGreaterThan(1000);
    }
  });

  test("refuses at once when the queue is full, and serves what it took", async () => {
    const one = pool({ queue: 2 });
    const taken = Array.from({ length: 3 }, () => one.estimate(job("hello", "hello")));
    await expect(one.estimate(job("hello", "hello"))).rejects.toMatchObject({ name: "PoolError", code: "pool_full" });
    expect(await Promise.all(taken)).toHaveLength(3);
    expect(one.stats).toMatchObject({ done: 3, full: 1, failed: 0 });
    await one.estimate(job("hello", "hello"));
  });

  test("answers a failed job with a code, and goes on", async () => {
    const one = pool();
    const foreign = { dialect: "nobody's" as unknown as EstimateJob["dialect"] };
    await expect(one.estimate(job("a", "b", foreign))).rejects.toMatchObject({ code: "pool_failed" });
    expect(one.stats.failed).toBe(1);
    await one.estimate(job("hello", "hello"));
  });

  test("rejects what is left when it is destroyed, and everything after", async () => {
    const one = pool();
    const left = one.estimate(job("hello", "hello"));
    const refused = expect(left).rejects.toMatchObject({ code: "pool_closed" });
    await one.destroy();
    await refused;
    await expect(one.estimate(job("a", "b"))).rejects.toMatchObject({ code: "pool_closed" });
  });
});
