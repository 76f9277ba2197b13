/** The simulator on POST /images/…. Shapes: `ImagesResponse` and the events of the vendor's SDK. */
import { FrameList } from "./frames.js";
import { countOf, type JsonObject, stringOf } from "./json.js";
import {
  EVENT_STREAM,
  isYes,
  JSON_TYPE,
  type MediaAnswer,
  type MediaRequest,
  numberField,
  tokenUsage,
} from "./media-answer.js";
import { countTokens, HIGHEST } from "./prompt.js";

/** One image deals out as many output tokens as a small one of the vendor's. */
const TOKENS_PER_IMAGE = 272;
const USUAL_BYTES = 96;
const HIGHEST_PARTIAL = 3;

/** Answers the three operations; bytes that look like an image only to those who do not look. */
export function answerImages(request: MediaRequest): MediaAnswer {
  const { fields, operation, knobs } = request;
  const count = numberField(fields.n, 1);
  const prompt = stringOf(fields.prompt);
  const inputTokens = knobs.usage === "none" ? 0 : countTokens(prompt);
  const streamed = isYes(fields.stream);
  const units = { images: count };
  if (streamed) {
    const family = operation === "image_edits" ? "image_edit" : "image_generation";
    const list = streamImages(request, family, count);
    return { list, contentType: EVENT_STREAM, streamed, binary: false, inputTokens, units };
  }
  const list = FrameList.whole(wholeAnswer(request, count), tokensFor(request, count));
  return { list, contentType: JSON_TYPE, streamed, binary: false, inputTokens, units };
}

function tokensFor({ knobs }: MediaRequest, count: number): number {
  return knobs.usage === "none" ? 0 : count * TOKENS_PER_IMAGE;
}

function wholeAnswer(request: MediaRequest, count: number): JsonObject {
  const { fields } = request;
  const byAddress = fields.response_format === "url";
  const data = Array.from({ length: count }, (_, index) =>
    byAddress ? { url: `https://images.example.com/${index}.png` } : { b64_json: imageOf(request) },
  );
  return { created: Math.floor(Date.now() / 1_000), data, ...looksOf(fields), ...usageOf(request, count) };
}

function usageOf(request: MediaRequest, count: number): JsonObject {
  const { fields, knobs } = request;
  if (knobs.usage === "none") return {};
  return { usage: tokenUsage(stringOf(fields.prompt), tokensFor(request, count)) };
}

function looksOf(fields: JsonObject): JsonObject {
  const size = stringOf(fields.size, "1024x1024");
  return { size, quality: stringOf(fields.quality, "medium"), background: "opaque", output_format: "png" };
}

function streamImages(request: MediaRequest, family: string, count: number): FrameList {
  const list = new FrameList();
  const { fields } = request;
  const partials = countOf(Number(fields.partial_images), 0, HIGHEST_PARTIAL);
  const common = { b64_json: imageOf(request), created_at: Math.floor(Date.now() / 1_000), ...looksOf(fields) };
  for (let image = 0; image < count; image++) {
    for (let partial = 0; partial < partials; partial++) {
      list.event(`${family}.partial_image`, { ...common, partial_image_index: partial });
    }
    // The last one tells the usage of all.
    const usage = image === count - 1 ? usageOf(request, count) : {};
    list.event(`${family}.completed`, { ...common, ...usage }, tokensFor(request, 1));
  }
  return list;
}

function imageOf({ knobs }: MediaRequest): string {
  const bytes = knobs.bytes < 0 ? USUAL_BYTES : Math.min(knobs.bytes, HIGHEST.bytes);
  return Buffer.alloc(bytes, "weir").toString("base64");
}
