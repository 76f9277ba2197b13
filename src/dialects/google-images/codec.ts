/** Google's image models: Gemini's by generateContent, with an image among the parts of its answer; Imagen by predict. */
import { isFailure } from "../../errors.js";
import { decodeError } from "../gemini/error.js";
import { asArray, asCount, asObject, asObjects, asString, withoutAbsent } from "../json.js";
import { encodeError } from "../openai-chat/error.js";
import { type ImageTokens, imagesAnswer } from "../openai-images/answer.js";
import { type ImagesRequest, nearestRatio, readImages, refuseCount } from "../openai-images/request.js";
import type { OperationCodec } from "../operation-codec.js";
import type { JsonObject, LossList } from "../semantic.js";

const GEMINI_RATIOS = "1:1 2:3 3:2 3:4 4:3 4:5 5:4 9:16 16:9 21:9".split(" ");
const IMAGEN_RATIOS = "1:1 3:4 4:3 9:16 16:9".split(" ");
const IMAGEN_MOST = 4;
/** Side in pixels of what the models make unasked. */
const USUAL_SIDE = 1024;

export const googleImages: OperationCodec = {
  encodeRequest(request) {
    const asked = readImages(request);
    if (isFailure(asked)) return asked;
    const { losses, traits } = request;
    if (asked.quality !== null) losses.add("quality");
    const imagen = traits.model.includes("imagen");
    const most = imagen ? IMAGEN_MOST : 1;
    if (asked.count > most) return refuseCount(most);
    return { body: imagen ? predicted(asked, losses) : generated(asked, losses), told: {} };
  },
  decodeAnswer(answer) {
    const body = asObject(answer.body) ?? {};
    const predictions = asObjects(body.predictions);
    const images = predictions.length > 0 ? predictions.map((one) => asString(one.bytesBase64Encoded)) : partsOf(body);
    return imagesAnswer(
      answer,
      images.filter((image) => image !== ""),
      { tokens: tokensIn(body), reason: reasonIn(body) },
    );
  },
  decodeError,
  encodeError,
};

function generated({ prompt, size, format }: ImagesRequest, losses: LossList): JsonObject {
  if (format !== null && format !== "png") losses.add("output_format");
  const imageConfig = size === null ? null : shaped({ size, ratios: GEMINI_RATIOS, sizeName: "imageSize" }, losses);
  return {
    contents: [{ role: "user", parts: [{ text: prompt }] }],
    generationConfig: withoutAbsent({ responseModalities: ["TEXT", "IMAGE"], imageConfig }),
  };
}

function predicted({ prompt, count, size, format }: ImagesRequest, losses: LossList): JsonObject {
  if (format === "webp") losses.add("output_format");
  const shape = size === null ? {} : shaped({ size, ratios: IMAGEN_RATIOS, sizeName: "sampleImageSize" }, losses);
  const outputOptions = format === "jpeg" || format === "png" ? { mimeType: `image/${format}` } : null;
  return { instances: [{ prompt }], parameters: withoutAbsent({ sampleCount: count, ...shape, outputOptions }) };
}

interface Wanted {
  readonly size: { readonly width: number; readonly height: number };
  readonly ratios: readonly string[];
  readonly sizeName: string;
}

/** These models are told a shape and a class of size; only the usual square is exactly what was asked for. */
function shaped({ size, ratios, sizeName }: Wanted, losses: LossList): JsonObject {
  const { width, height } = size;
  if (width !== USUAL_SIDE || height !== USUAL_SIDE) losses.add("size");
  const longest = Math.max(width, height);
  const larger = longest >= 4 * USUAL_SIDE ? "4K" : longest >= 2 * USUAL_SIDE ? "2K" : null;
  return withoutAbsent({ aspectRatio: nearestRatio(size, ratios), [sizeName]: larger });
}

function partsOf(body: JsonObject): string[] {
  const parts = asObjects(body.candidates).flatMap((one) => asObjects(asObject(one.content)?.parts));
  // What the model has drawn while it thought is not the answer.
  return parts.filter(({ thought }) => thought !== true).map((part) => asString(asObject(part.inlineData)?.data));
}

function tokensIn({ usageMetadata }: JsonObject): ImageTokens | null {
  const usage = asObject(usageMetadata);
  const input = asCount(usage?.promptTokenCount);
  if (input < 0) return null;
  const output = Math.max(0, asCount(usage?.candidatesTokenCount)) + Math.max(0, asCount(usage?.thoughtsTokenCount));
  return { input, output };
}

function reasonIn(body: JsonObject): string {
  const [candidate] = asObjects(body.candidates);
  const filtered = asObject(asArray(body.predictions)[0])?.raiFilteredReason;
  const blocked = asObject(body.promptFeedback)?.blockReason;
  return (asString(blocked) || asString(filtered) || asString(candidate?.finishReason)).slice(0, 200);
}
