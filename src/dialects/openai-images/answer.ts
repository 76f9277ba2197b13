/** Images of any wire → an images answer. */
import { DecodeError } from "../codec.js";
import type { DecodedOperation, OperationAnswer } from "../operation-codec.js";
import type { JsonObject } from "../semantic.js";

/** What was used, as far as it is known; null = not said. */
export interface ImageTokens {
  readonly input: number;
  readonly output: number;
}

/** `images`: in base64. Throws DecodeError where there is none; `reason`: why the upstream made none, if it says so. */
export function imagesAnswer(
  { created }: Pick<OperationAnswer, "created">,
  images: readonly string[],
  { tokens, reason }: { readonly tokens: ImageTokens | null; readonly reason: string },
): DecodedOperation {
  if (images.length === 0) throw new DecodeError(`The model made no image${reason === "" ? "" : ` (${reason})`}.`);
  const body: JsonObject = { created, data: images.map((b64_json) => ({ b64_json })) };
  if (tokens !== null) {
    const { input, output } = tokens;
    body.usage = { input_tokens: input, output_tokens: output, total_tokens: input + output };
  }
  return { body };
}
