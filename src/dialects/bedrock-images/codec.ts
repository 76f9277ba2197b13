/** Image models by Bedrock's InvokeModel: Amazon's (Titan, Nova Canvas) and Stability's, each with a body of its own. */
import { isFailure } from "../../errors.js";
import { decodeError } from "../bedrock-converse/error.js";
import { asArray, asObject, asString, withoutAbsent } from "../json.js";
import { encodeError } from "../openai-chat/error.js";
import { imagesAnswer } from "../openai-images/answer.js";
import { type ImagesRequest, nearestRatio, readImages, refuseCount } from "../openai-images/request.js";
import type { OperationCodec } from "../operation-codec.js";
import type { JsonObject, LossList } from "../semantic.js";

const AMAZON_MOST = 5;
const STABILITY_RATIOS = "1:1 16:9 21:9 2:3 3:2 4:5 5:4 9:16 9:21".split(" ");
const STABILITY_FORMATS: ReadonlySet<string> = new Set(["png", "jpeg"]);
/** What the dialect calls its better qualities. */
const BETTER: ReadonlySet<string> = new Set(["hd", "high"]);

export const bedrockImages: OperationCodec = {
  encodeRequest(request) {
    const asked = readImages(request);
    if (isFailure(asked)) return asked;
    const stability = request.traits.model.includes("stability.");
    const most = stability ? 1 : AMAZON_MOST;
    if (asked.count > most) return refuseCount(most);
    const body = stability ? forStability(asked, request.losses) : forAmazon(asked, request.losses);
    return { body, told: {} };
  },
  decodeAnswer(answer) {
    const body = asObject(answer.body);
    const images = asArray(body?.images).map(asString);
    const finished = asArray(body?.finish_reasons).map(asString);
    const reason = (asString(body?.error) || (finished.find((word) => word !== "") ?? "")).slice(0, 200);
    return imagesAnswer(
      answer,
      images.filter((image) => image !== ""),
      { tokens: null, reason },
    );
  },
  errorHeader: "x-amzn-errortype",
  decodeError,
  encodeError,
};

function forAmazon({ prompt, count, size, quality, format }: ImagesRequest, losses: LossList): JsonObject {
  if (format !== null && format !== "png") losses.add("output_format");
  return {
    taskType: "TEXT_IMAGE",
    textToImageParams: { text: prompt },
    imageGenerationConfig: withoutAbsent({
      numberOfImages: count,
      width: size?.width,
      height: size?.height,
      quality: quality === null ? null : BETTER.has(quality) ? "premium" : "standard",
    }),
  };
}

function forStability({ prompt, size, quality, format }: ImagesRequest, losses: LossList): JsonObject {
  if (quality !== null) losses.add("quality");
  // It is told a shape and nothing of pixels.
  if (size !== null) losses.add("size");
  if (format !== null && !STABILITY_FORMATS.has(format)) losses.add("output_format");
  return withoutAbsent({
    prompt,
    mode: "text-to-image",
    aspect_ratio: size === null ? null : nearestRatio(size, STABILITY_RATIOS),
    output_format: format !== null && STABILITY_FORMATS.has(format) ? format : null,
  });
}
