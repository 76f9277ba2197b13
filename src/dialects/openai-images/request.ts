/** A request for new images, read for what it means. */
import type { Failure } from "../../errors.js";
import { isAbsent, otherFields, withoutAbsent } from "../json.js";
import { lossName } from "../loss-name.js";
import type { OperationRequest } from "../operation-codec.js";
import {
  optionalFlag,
  optionalNumber,
  optionalText,
  orFailure,
  refuse,
  refuseUnsupported,
  textAt,
} from "../refuse-request.js";
import type { JsonObject, LossList } from "../semantic.js";

const KNOWN = new Set("model prompt n size quality response_format output_format stream".split(" "));

export interface ImagesRequest {
  readonly prompt: string;
  readonly count: number;
  /** null = the model's own. */
  readonly size: ImageSize | null;
  /** As written; null = not said, or left to the model. */
  readonly quality: string | null;
  /** "png", "jpeg", "webp"; null = not said. */
  readonly format: string | null;
}

export interface ImageSize {
  readonly width: number;
  readonly height: number;
}

/** Reads the request. Images come back by value only, and whole: there is no place where they could be kept. */
export function readImages({ body, losses }: Pick<OperationRequest, "body" | "losses">): ImagesRequest | Failure {
  return orFailure(() => read(body, losses));
}

function read(body: JsonObject, losses: LossList): ImagesRequest {
  if (optionalText(body, "response_format") === "url") {
    refuseUnsupported("response_format", "The model's images come as b64_json only; they have no address.");
  }
  if (optionalFlag(body, "stream") === true) {
    refuseUnsupported("stream", "The model's images do not come as a stream.");
  }
  for (const [name, value] of Object.entries(withoutAbsent(otherFields(body, KNOWN)))) {
    if (value !== "auto") losses.add(lossName(name, "unknown_field"));
  }
  const quality = optionalText(body, "quality");
  return {
    prompt: textAt(body.prompt, "prompt"),
    count: countOf(body),
    size: sizeOf(body),
    quality: quality === "auto" ? null : quality,
    format: optionalText(body, "output_format"),
  };
}

function countOf(body: JsonObject): number {
  if (isAbsent(body.n)) return 1;
  const count = optionalNumber(body, "n") ?? 1;
  return Number.isInteger(count) && count >= 1 ? count : refuse("n", "a whole number from 1 on");
}

function sizeOf(body: JsonObject): ImageSize | null {
  const size = optionalText(body, "size");
  if (size === null || size === "auto") return null;
  const [, width = "", height = ""] = /^(\d{1,5})x(\d{1,5})$/.exec(size) ?? refuse("size", '"WIDTHxHEIGHT" or "auto"');
  const read = { width: Number(width), height: Number(height) };
  return read.width > 0 && read.height > 0 ? read : refuse("size", '"WIDTHxHEIGHT" or "auto"');
}

/** Refuses more images than a call of the model makes. */
export function refuseCount(most: number): Failure {
  return orFailure(() => refuseUnsupported("n", `The model makes no more than ${most} image(s) a request.`)) as Failure;
}

/** The nearest of some aspect ratios ("16:9"). */
export function nearestRatio({ width, height }: ImageSize, ratios: readonly string[]): string {
  const wanted = Math.log(width / height);
  let best = ratios[0] as string;
  let distance = Number.POSITIVE_INFINITY;
  for (const ratio of ratios) {
    const [across = 1, down = 1] = ratio.split(":").map(Number);
    const off = Math.abs(Math.log(across / down) - wanted);
    if (off < distance) [best, distance] = [ratio, off];
  }
  return best;
}
