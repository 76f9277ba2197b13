/** How the price catalog writes its rows: dollars for one million tokens, in the order of the vendors' tables. */
import type { PriceRow, TokenPrices } from "../../config/prices.js";

/** What a row says beside input and output. */
export interface Extras extends Partial<Omit<PriceRow, "providers" | "models" | "input" | "output" | "longPrompt">> {
  /** Prices of requests with longer prompts; what it leaves out is not said. */
  readonly longPrompt?: Partial<TokenPrices> & { readonly above: number };
}

const NOT_SAID: TokenPrices = Object.freeze({
  input: null,
  output: null,
  reasoning: null,
  cachedInput: null,
  cacheWrite: null,
  cacheWriteHour: null,
  inputAudio: null,
  inputImage: null,
  outputAudio: null,
});

/** Price of input, then of output where there is any. */
export type InOut = readonly [input: number, output?: number];

/** A row; `models` are the names separated by spaces. */
export function price(providers: readonly string[], models: string, inOut: InOut, extras: Extras = {}): PriceRow {
  const { longPrompt, ...rest } = extras;
  return Object.freeze({
    providers,
    models: models.split(" "),
    ...NOT_SAID,
    input: inOut[0],
    output: inOut[1] ?? null,
    perRequest: null,
    perImage: null,
    perImageOf: null,
    perCharacter: null,
    perSecond: null,
    perSearch: null,
    ...rest,
    longPrompt: longPrompt === undefined ? null : { ...NOT_SAID, ...longPrompt },
  });
}
