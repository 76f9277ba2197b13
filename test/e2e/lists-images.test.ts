/** Images from models that speak no dialect of callers, asked for with the client of the caller's dialect. */
import OpenAI from "openai";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { picture } from "../fake-upstream/vendor-invoke.js";
import { call, eventOf } from "./calls.js";
import { KEY } from "./gateway.js";
import { endListStage, type ListStage, startListStage } from "./lists.js";

interface Wire {
  readonly model: string;
  readonly target: string;
  /** Images that one request may ask for. */
  readonly most: number;
  readonly tokens: boolean;
}

const WIRES: readonly Wire[] = [
  { model: "gemini-2.5-flash-image", target: "google-images", most: 1, tokens: true },
  { model: "imagen-4.0-generate-001", target: "google-images", most: 4, tokens: false },
  { model: "amazon.nova-canvas-v1:0", target: "bedrock-images", most: 5, tokens: false },
  { model: "stability.stable-image-core-v1:1", target: "bedrock-images", most: 1, tokens: false },
];

describe("images", () => {
  let staged: ListStage | undefined;
  const stage = (): ListStage => {
    if (staged === undefined) throw new Error("nothing was started");
    return staged;
  };
  const url = () => `${stage().gateway.url}/v1/images/generations`;

  beforeAll(async () => {
    staged = await startListStage();
  });
  afterAll(() => endListStage(staged));
  beforeEach(() => stage().upstream.reset());

  describe.each(WIRES)("$model", ({ model, target, most, tokens }) => {
    test("the client gets as many as the model makes, and the event counts them", async () => {
      let id = "";
      const client = new OpenAI({
        apiKey: KEY,
        baseURL: `${stage().gateway.url}/v1`,
        maxRetries: 0,
        fetch: async (input, init) => {
          const response = await fetch(input, init);
          id = response.headers.get("x-weir-request-id") ?? "";
          return response;
        },
      });
      const made = await client.images.generate({ model, prompt: "a red square", n: most, size: "1024x1024" });
      const single = target === "google-images" ? model.startsWith("gemini") : model.startsWith("stability");
      const wanted = Array.from({ length: most }, (_, at) => picture(single ? "a red square" : `a red square ${at}`));
      expect(made.data?.map(({ b64_json }) => b64_json)).toEqual(wanted);
      if (tokens) expect(made.usage?.output_tokens).toBe(1290);
      const event = await eventOf(stage().gateway, id);
      expect(event).toMatchObject({ operation: "images", target_dialect: target, images: most, status: 200 });
      expect(event).toMatchObject({ image_size: "1024x1024", output_tokens: tokens ? 1290 : 0, estimated: false });
    });

    test("what it cannot do is refused by name, what it leaves out is named", async () => {
      for (const [field, value] of [
        ["n", most + 1],
        ["response_format", "url"],
        ["stream", true],
        ["size", "big"],
      ]) {
        const { status, json } = await call(url(), { body: { model, prompt: "p", [field as string]: value } });
        expect(status).toBe(400);
        expect(json().error).toMatchObject({ param: field });
      }
      const { status, headers } = await call(url(), { body: { model, prompt: "p", background: "transparent" } });
      expect(status).toBe(200);
      expect(headers["x-weir-losses"]).toBe("background");
    });
  });

  test.each([
    ["gemini-2.5-flash-image", "1536x1024", { aspectRatio: "3:2" }],
    ["gemini-2.5-flash-image", "1024x1792", { aspectRatio: "9:16" }],
    ["gemini-2.5-flash-image", "2048x2048", { aspectRatio: "1:1", imageSize: "2K" }],
  ])("%s takes %s for a shape", async (model, size, imageConfig) => {
    const { headers } = await call(url(), { body: { model, prompt: "p", size } });
    expect(stage().upstream.requests()[0]?.body.generationConfig.imageConfig).toEqual(imageConfig);
    expect(headers["x-weir-losses"]).toBe("size");
  });

  test.each(["gemini-2.5-flash-image", "stability.stable-image-core-v1:1"])("%s: a blocked prompt", async (model) => {
    const { status, json } = await call(url(), { body: { model, prompt: "forbidden" } });
    expect(status).toBe(502);
    expect(json().error).toMatchObject({
      code: "upstream_decode_error",
      message: expect.stringMatching(/SAFETY|Filter/),
    });
  });
});
