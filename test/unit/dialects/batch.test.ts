/** Lists cut and put together again: nothing of a request or an answer may show that it was. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type BatchForm, Cut, cutBatch, joinAnswers, summedUsage } from "../../../src/dialects/batch.js";
import { isFailure } from "../../../src/errors.js";
import { simulate } from "../../../src/providers/simulator/simulate.js";

const EMBEDDINGS: BatchForm = { inputs: "input", outputs: "data", outputsPerInput: null };
const COMPLETIONS: BatchForm = { inputs: "prompt", outputs: "choices", outputsPerInput: "n" };

function cutOf(body: Buffer, form: BatchForm, most: number): Cut {
  const cut = cutBatch(body, form, most);
  if (!(cut instanceof Cut)) throw new Error("it was not cut");
  return cut;
}

function answerTo(operation: "embeddings" | "completions", body: Buffer): Buffer {
  const dialect = operation === "embeddings" ? "openai-embeddings" : "openai-completions";
  return Buffer.from(simulate(operation, dialect, body).frames.join(""));
}

const INPUT = fc.oneof(fc.string({ unit: "binary" }), fc.array(fc.nat(100_000), { minLength: 1, maxLength: 4 }));

describe("cutting and joining", () => {
  it("a list answered in parts is the list answered at once", () => {
    const run = fc.property(
      fc.array(INPUT, { minLength: 2, maxLength: 40 }),
      fc.integer({ min: 1, max: 12 }),
      fc.constantFrom("float", "base64"),
      fc.constantFrom(0, 1, 2),
      (input, most, encoding_format, spaces) => {
        fc.pre(input.length > most);
        const body = Buffer.from(JSON.stringify({ model: "m", input, encoding_format, dimensions: 3 }, null, spaces));
        const cut = cutOf(body, EMBEDDINGS, most);
        expect(cut.parts).toBe(Math.ceil(input.length / most));
        const answers = Array.from({ length: cut.parts }, (_, at) => answerTo("embeddings", cut.part(at)));
        const joined = joinAnswers(cut, answers, EMBEDDINGS);
        expect(JSON.parse(String(joined))).toEqual(JSON.parse(String(answerTo("embeddings", body))));
      },
    );
    fc.assert(run, { numRuns: 200 });
  });

  it("every byte around the list stays, and the parts' lists are the list", () => {
    const run = fc.property(
      fc.array(fc.string(), { minLength: 2, maxLength: 20 }),
      fc.integer({ min: 1, max: 5 }),
      (list, most) => {
        fc.pre(list.length > most);
        const spelled = list.map((text) => ` ${JSON.stringify(text)}\n`).join(",");
        const body = Buffer.from(`{ "a" : 1.0, "input": [${spelled}] , "z":"\\u0061" }`);
        const cut = cutOf(body, EMBEDDINGS, most);
        const found: string[] = [];
        for (let at = 0; at < cut.parts; at++) {
          const part = String(cut.part(at));
          expect(part.startsWith('{ "a" : 1.0, "input": [')).toBe(true);
          expect(part.endsWith('] , "z":"\\u0061" }')).toBe(true);
          found.push(...JSON.parse(part).input);
        }
        expect(found).toEqual(list);
      },
    );
    fc.assert(run, { numRuns: 200 });
  });

  it("choices are numbered by prompt and then by alternative", () => {
    const body = Buffer.from(JSON.stringify({ model: "m", prompt: ["a", "b", "c"], n: 2, max_tokens: 5 }));
    const cut = cutOf(body, COMPLETIONS, 1);
    const answers = [0, 1, 2].map((at) => answerTo("completions", cut.part(at)));
    const joined = JSON.parse(String(joinAnswers(cut, answers, COMPLETIONS)));
    expect(joined.choices.map(({ index }: { index: number }) => index)).toEqual([0, 1, 2, 3, 4, 5]);
    const used = answers.map((answer) => JSON.parse(String(answer)).usage.total_tokens);
    expect(joined.usage.total_tokens).toBe(used.reduce((sum, one) => sum + one, 0));
  });

  it("leaves alone what is no list of inputs, or short enough", () => {
    for (const input of ["text", [], ["a"], ["a", "b"], [1, 2, 3], null, {}]) {
      expect(cutBatch(Buffer.from(JSON.stringify({ input })), EMBEDDINGS, 2)).toBeNull();
    }
    expect(cutBatch(Buffer.from("{}"), EMBEDDINGS, 2)).toBeNull();
  });

  it("refuses what would take too many calls, naming the field", () => {
    const list = (length: number) => Buffer.from(JSON.stringify({ input: Array.from({ length }, () => "") }));
    expect(cutOf(list(2_048), EMBEDDINGS, 1).parts).toBe(2_048);
    const refused = cutBatch(list(2_049), EMBEDDINGS, 1);
    expect(isFailure(refused) && refused.param).toBe("input");
  });

  it("gives nothing for an answer without its list", () => {
    const cut = cutOf(Buffer.from('{"input":["a","b"]}'), EMBEDDINGS, 1);
    const good = Buffer.from('{"data":[]}');
    for (const bad of ["{}", '{"data":{}}', "[]", "", '{"data":[']) {
      expect(joinAnswers(cut, [good, Buffer.from(bad)], EMBEDDINGS)).toBeNull();
      expect(joinAnswers(cut, [Buffer.from(bad), good], EMBEDDINGS)).toBeNull();
    }
    expect(String(joinAnswers(cut, [good, good], EMBEDDINGS))).toBe('{"data":[]}');
  });

  it("sums what all say and says nothing where one is silent", () => {
    const one = { prompt_tokens: 2, details: { cached: 1 }, name: "x" };
    const other = { prompt_tokens: 3, details: { cached: 4, more: 5 }, completion_tokens: 6 };
    expect(summedUsage([one, other])).toEqual({
      prompt_tokens: 5,
      details: { cached: 5, more: 5 },
      completion_tokens: 6,
      name: "x",
    });
    expect(summedUsage([one, null])).toBeNull();
    expect(summedUsage([])).toBeNull();
  });
});
