/** The shape of a price file (`pricing.file` of weir.yaml). */
import { z } from "zod";
import { text, whole } from "./schema-parts.js";

const RULE_OF_DOLLARS = "must be a number of US dollars from 0 to 1000000";
const dollars = z.number(RULE_OF_DOLLARS).min(0, RULE_OF_DOLLARS).max(1_000_000, RULE_OF_DOLLARS).optional();

const tokens = {
  input_per_1m: dollars,
  output_per_1m: dollars,
  reasoning_per_1m: dollars,
  cached_input_per_1m: dollars,
  cache_write_per_1m: dollars,
  cache_write_1h_per_1m: dollars,
  input_audio_per_1m: dollars,
  input_image_per_1m: dollars,
  output_audio_per_1m: dollars,
};

const RULE = "must be a name or a list of names";

/** One name or several; `*` stands for any text. */
const names = z
  .union([text(1024), z.array(text(1024)).min(1)], RULE)
  .transform((value) => (typeof value === "string" ? [value] : value));

const row = z.strictObject({
  provider: names,
  model: names,
  ...tokens,
  per_request: dollars,
  per_image: dollars,
  per_image_of: z.record(text(64), z.number("must be a number of US dollars").min(0).max(1_000_000)).optional(),
  characters_per_1m: dollars,
  per_second: dollars,
  per_search: dollars,
  long_prompt: z.strictObject({ above: whole(1, Number.MAX_SAFE_INTEGER), ...tokens }).optional(),
});

export const pricesSchema = z.strictObject({
  version: z.literal(1),
  dated: z
    .string()
    .regex(/^\d{4}-\d{2}-\d{2}$/, "must be a date, such as 2026-11-01")
    .default(""),
  prices: z.array(row),
});

export type PriceFileEntry = z.output<typeof row>;
