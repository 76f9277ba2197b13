import { describe, expect, it } from "vitest";
import { translateRequest } from "../../../../src/dialects/hub.js";
import { isFailure } from "../../../../src/errors.js";

function sent(model: string, fields: Record<string, unknown>, stream = false) {
  const translation = translateRequest({
    client: "openai-completions",
    wire: "mistral-completions",
    body: Buffer.from(JSON.stringify({ model: "asked", stream, ...fields })),
    traits: {
      provider: "mistral",
      model,
      defaultMaxTokens: 4096,
      maxTokensField: "max_tokens",
      structuredOutput: "native",
    },
    stream,
  });
  if (isFailure(translation)) throw new Error(translation.message);
  return { body: JSON.parse(Buffer.from(translation.body).toString("utf8")), losses: translation.losses };
}

describe("a completions request for a vendor with two ways", () => {
  it("is filled in by models of code, with nothing in it that their endpoint does not know", () => {
    const fields = {
      prompt: "def f(",
      suffix: "return n",
      max_tokens: 9,
      temperature: 0.5,
      top_p: 0.9,
      seed: 3,
      stop: "\n",
    };
    const more = { min_tokens: 2, user: "u", n: 2, logit_bias: { "1": 2 }, presence_penalty: 1, other: true };
    expect(sent("codestral-latest", { ...fields, ...more }, true)).toEqual({
      body: {
        model: "codestral-latest",
        prompt: "def f(",
        suffix: "return n",
        stream: true,
        max_tokens: 9,
        stop: ["\n"],
        temperature: 0.5,
        top_p: 0.9,
        random_seed: 3,
        min_tokens: 2,
      },
      losses: ["other", "presence_penalty", "logit_bias", "n", "user"],
    });
  });

  it.each(["mistral-large-latest", "codestral-embed", "codestral-mamba-latest"])("is a chat for %s", (model) => {
    const { body, losses } = sent(model, { prompt: "Once", suffix: "end" });
    expect(body).toEqual({ model, messages: [{ role: "user", content: "Once" }] });
    expect(losses).toEqual(["suffix"]);
  });
});
