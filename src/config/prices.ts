/** Prices of models, as the bundled catalog and a file of the user's own say them. All amounts are US dollars. */
import { type Result, renderPath } from "./result.js";
import { checkAgainst } from "./schema.js";
import { type PriceFileEntry, pricesSchema } from "./schema-prices.js";
import { parseYaml, readText } from "./yaml.js";

/** Dollars for one million tokens; null = not said. */
export interface TokenPrices {
  readonly input: number | null;
  readonly output: number | null;
  /** Of the part of the output that is reasoning; null = as the output. */
  readonly reasoning: number | null;
  /** Of input read from the provider's prompt cache; null = as the input. */
  readonly cachedInput: number | null;
  /** Of input written to the provider's prompt cache; null = as the input. */
  readonly cacheWrite: number | null;
  /** The same, where it is kept for an hour; null = as `cacheWrite`. */
  readonly cacheWriteHour: number | null;
  /** Of the part of the input that is sound, or pictures, and comes from no cache; null = as the input. */
  readonly inputAudio: number | null;
  readonly inputImage: number | null;
  /** Of the part of the output that is sound; null = as the output. */
  readonly outputAudio: number | null;
}

/** What one model costs at one or more providers. */
export interface PriceRow extends TokenPrices {
  /** Ids of providers; `*` stands for any text. */
  readonly providers: readonly string[];
  /** The providers' own names of the model; `*` stands for any text. */
  readonly models: readonly string[];
  /** Dollars for one. */
  readonly perRequest: number | null;
  readonly perImage: number | null;
  /** By size and quality ("1024x1024 hd"), or by size alone; what it does not name costs `perImage`. */
  readonly perImageOf: Readonly<Record<string, number>> | null;
  readonly perCharacter: number | null;
  readonly perSecond: number | null;
  readonly perSearch: number | null;
  /** All tokens of a request whose input is longer than `above` tokens cost this; null = no such step. */
  readonly longPrompt: (TokenPrices & { readonly above: number }) | null;
}

export interface PriceList {
  /** Of the shape. */
  readonly version: 1;
  /** The day the prices were looked up, YYYY-MM-DD; "" = not said. */
  readonly dated: string;
  readonly rows: readonly PriceRow[];
}

/** Where there is no price file. */
export const NO_PRICES: Result<PriceList> = { ok: true, value: { version: 1, dated: "", rows: [] }, ignored: [] };

/** A price file: YAML or JSON. Errors name the file, the place in it and the reason. */
export function loadPrices(path: string): Result<PriceList> {
  const text = readText(path);
  if (!text.ok) return text;
  const parsed = parseYaml(text.value, path);
  if (!parsed.ok) return parsed;
  const { value, lineOf } = parsed.value;
  const checked = checkAgainst(pricesSchema, value);
  if (!checked.ok) {
    const errors = checked.issues.map((issue) => ({
      file: path,
      path: renderPath(issue.path),
      message: issue.message,
      line: lineOf(issue.path),
    }));
    return { ok: false, errors };
  }
  const { version, dated, prices } = checked.value;
  return { ok: true, value: { version, dated, rows: prices.map(toRow) }, ignored: [] };
}

const MILLION = 1e6;

function toRow(entry: PriceFileEntry): PriceRow {
  const { long_prompt: long } = entry;
  return {
    providers: entry.provider,
    models: entry.model,
    ...tokenPrices(entry),
    perRequest: entry.per_request ?? null,
    perImage: entry.per_image ?? null,
    perImageOf: entry.per_image_of ?? null,
    perCharacter: entry.characters_per_1m === undefined ? null : entry.characters_per_1m / MILLION,
    perSecond: entry.per_second ?? null,
    perSearch: entry.per_search ?? null,
    longPrompt: long === undefined ? null : { above: long.above, ...tokenPrices(long) },
  };
}

function tokenPrices(entry: Omit<PriceFileEntry, "provider" | "model">): TokenPrices {
  return {
    input: entry.input_per_1m ?? null,
    output: entry.output_per_1m ?? null,
    reasoning: entry.reasoning_per_1m ?? null,
    cachedInput: entry.cached_input_per_1m ?? null,
    cacheWrite: entry.cache_write_per_1m ?? null,
    cacheWriteHour: entry.cache_write_1h_per_1m ?? null,
    inputAudio: entry.input_audio_per_1m ?? null,
    inputImage: entry.input_image_per_1m ?? null,
    outputAudio: entry.output_audio_per_1m ?? null,
  };
}
