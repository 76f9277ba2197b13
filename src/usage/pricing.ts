/**
 * What the use of a model costs. Prices are micro-dollars for one token (which is what dollars for a million
 * tokens are) or for one unit; costs are micro-dollars, in thousandths.
 */
import type { PriceRow, TokenPrices } from "../config/prices.js";
import { memberNames } from "../config/resources.js";
import type { ResolvedDirect, ResolvedModel } from "../config/snapshot.js";
import type { ModelCost } from "../config/traffic.js";
import { BUNDLED_PRICES } from "../providers/prices/catalog.js";
import { PriceIndex } from "./price-index.js";

/** Micro-dollars for one token of each kind. */
export interface TokenRates {
  readonly input: number;
  readonly output: number;
  readonly reasoning: number;
  readonly cachedInput: number;
  readonly cacheWrite: number;
  readonly cacheWriteHour: number;
  readonly inputAudio: number;
  readonly inputImage: number;
  readonly outputAudio: number;
}

export interface Price {
  /** False: neither the model's own cost nor the catalog says anything, and everything counts as 0. */
  readonly known: boolean;
  readonly rates: TokenRates;
  /** Prompts of more tokens than this have the other rates; Infinity = none have. */
  readonly longAbove: number;
  readonly longRates: TokenRates;
  readonly perRequest: number;
  readonly perImage: number;
  /** Micro-dollars for an image of a size and quality ("1024x1024 hd") or of a size alone, before `perImage`. */
  readonly perImageOf: ReadonlyMap<string, number>;
  readonly perCharacter: number;
  readonly perSecond: number;
  readonly perSearch: number;
}

/** What is paid for. Names and meaning are the usage event's: `input_tokens` holds the cached ones too. */
export interface PricedUsage {
  readonly input_tokens: number;
  readonly output_tokens: number;
  readonly cache_read_tokens: number;
  readonly cache_write_tokens: number;
  /** Part of `cache_write_tokens`. */
  readonly cache_write_1h_tokens: number;
  readonly reasoning_tokens: number;
  readonly input_audio_tokens?: number;
  readonly input_image_tokens?: number;
  readonly output_audio_tokens?: number;
  readonly images?: number;
  readonly image_size?: string;
  readonly image_quality?: string;
  readonly audio_seconds?: number;
  readonly characters?: number;
  readonly search_units?: number;
}

const NOTHING: TokenRates = Object.freeze({
  input: 0,
  output: 0,
  reasoning: 0,
  cachedInput: 0,
  cacheWrite: 0,
  cacheWriteHour: 0,
  inputAudio: 0,
  inputImage: 0,
  outputAudio: 0,
});

/** Nobody knows. */
export const UNKNOWN_PRICE: Price = Object.freeze({
  known: false,
  rates: NOTHING,
  longAbove: Number.POSITIVE_INFINITY,
  longRates: NOTHING,
  perRequest: 0,
  perImage: 0,
  perImageOf: new Map(),
  perCharacter: 0,
  perSecond: 0,
  perSearch: 0,
});

const THOUSANDTHS = 1_000;
const MICROS = 1e6;

/** What one successful request cost, in micro-dollars. */
export function costMicros(price: Price, usage: PricedUsage): number {
  const rates = usage.input_tokens > price.longAbove ? price.longRates : price.rates;
  const { cache_read_tokens: read, cache_write_tokens: write, reasoning_tokens: reasoning } = usage;
  const hour = Math.min(usage.cache_write_1h_tokens, write);
  const fresh = Math.max(0, usage.input_tokens - read - write);
  const said = Math.max(0, usage.output_tokens - reasoning);
  let micros = fresh * rates.input + read * rates.cachedInput + (write - hour) * rates.cacheWrite;
  micros += hour * rates.cacheWriteHour + said * rates.output;
  micros += Math.min(reasoning, usage.output_tokens) * rates.reasoning + price.perRequest;
  micros += dearerParts(rates, usage, { fresh, said });
  if (usage.images !== undefined && usage.images > 0) micros += usage.images * imagePrice(price, usage);
  if (usage.audio_seconds !== undefined) micros += usage.audio_seconds * price.perSecond;
  if (usage.characters !== undefined) micros += usage.characters * price.perCharacter;
  if (usage.search_units !== undefined) micros += usage.search_units * price.perSearch;
  return Math.round(micros * THOUSANDTHS) / THOUSANDTHS;
}

/** What sound and pictures cost beyond plain tokens. Of a cached input it is not known which part they are: none. */
function dearerParts(rates: TokenRates, usage: PricedUsage, { fresh, said }: { fresh: number; said: number }): number {
  const audio = Math.min(usage.input_audio_tokens ?? 0, fresh);
  const images = Math.min(usage.input_image_tokens ?? 0, fresh - audio);
  const spoken = Math.min(usage.output_audio_tokens ?? 0, said);
  if (audio + images + spoken === 0) return 0;
  const heard = audio * (rates.inputAudio - rates.input) + images * (rates.inputImage - rates.input);
  return heard + spoken * (rates.outputAudio - rates.output);
}

function imagePrice(price: Price, { image_size: size = "", image_quality: quality = "" }: PricedUsage): number {
  const { perImageOf, perImage } = price;
  return perImageOf.get(`${size} ${quality}`) ?? perImageOf.get(size) ?? perImage;
}

/** What a request will probably cost, in micro-dollars; nothing of it is taken to come from a cache. */
export function estimateMicros(price: Price, inputTokens: number, outputTokens: number): number {
  const { input, output } = inputTokens > price.longAbove ? price.longRates : price.rates;
  return inputTokens * input + outputTokens * output + price.perRequest;
}

/** Dollars for a thousand tokens of input and a thousand of output: what targets are compared by; null = unknown. */
export function comparablePrice(price: Price): number | null {
  return price.known ? (price.rates.input + price.rates.output) / 1_000 : null;
}

/** The prices in force. Thread-wide; another price file makes another one. */
export class Pricing {
  readonly #own: PriceIndex;
  readonly #bundled: PriceIndex;
  readonly #prices = new WeakMap<ResolvedDirect, Price>();
  readonly #dearest = new WeakMap<ResolvedModel, Price>();

  /** `own`: rows of the user's price file; one that fits a model wins over every bundled one. */
  constructor(own: readonly PriceRow[] = [], bundled: readonly PriceRow[] = BUNDLED_PRICES.rows) {
    this.#own = new PriceIndex(own);
    this.#bundled = new PriceIndex(bundled);
  }

  /** The model's own cost, field by field, else what a row says of its provider and upstream name. */
  of(model: ResolvedDirect): Price {
    const known = this.#prices.get(model);
    if (known !== undefined) return known;
    const { provider, cost } = model.entry;
    const price = priceOf(this.rowFor(provider, model.upstreamModel), cost);
    this.#prices.set(model, price);
    return price;
  }

  /** The row that names this model of this provider best; null = none does. */
  rowFor(provider: string, upstreamModel: string): PriceRow | null {
    return this.#own.find(provider, upstreamModel) ?? this.#bundled.find(provider, upstreamModel);
  }

  /**
   * The price to reserve by before it is known which member of a model will answer: the dearest one's, so that
   * a budget holds whichever it is. `find` resolves a member's name.
   */
  dearestOf(model: ResolvedModel, find: (name: string) => ResolvedModel | undefined): Price {
    if (model.direct !== null) return this.of(model.direct);
    const known = this.#dearest.get(model);
    if (known !== undefined) return known;
    let dearest = UNKNOWN_PRICE;
    for (const name of memberNames(model.entry)) {
      const member = find(name);
      // A member may itself stand for several; none stands for itself, which configuration checks.
      if (member === undefined || member === model) continue;
      const price = this.dearestOf(member, find);
      if ((comparablePrice(price) ?? -1) > (comparablePrice(dearest) ?? -1)) dearest = price;
    }
    this.#dearest.set(model, dearest);
    return dearest;
  }
}

function priceOf(row: PriceRow | null, cost: ModelCost | null): Price {
  const own = cost === null ? NO_TOKEN_PRICES : ownPrices(cost);
  if (row === null && (cost === null || Object.values(cost).every((field) => field === null))) return UNKNOWN_PRICE;
  const rates = ratesOf(over(own, row ?? NO_TOKEN_PRICES));
  const long = row?.longPrompt ?? null;
  return Object.freeze({
    known: true,
    rates,
    longAbove: long === null ? Number.POSITIVE_INFINITY : long.above,
    // Prices of one's own are agreed on whatever the length.
    longRates: long === null ? rates : ratesOf(over(own, over(long, row ?? NO_TOKEN_PRICES))),
    perRequest: unit(cost?.perRequest, row?.perRequest),
    perImage: unit(cost?.perImage, row?.perImage),
    // A price of one's own is agreed on whatever the size.
    perImageOf: cost?.perImage == null ? imagePrices(row) : NO_IMAGE_PRICES,
    perCharacter: unit(null, row?.perCharacter),
    perSecond: unit(cost?.perSecond, row?.perSecond),
    perSearch: unit(null, row?.perSearch),
  });
}

const NO_TOKEN_PRICES: TokenPrices = Object.freeze({
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

/** Dollars for a thousand become dollars for a million. A cache write's own price holds for each way to write. */
function ownPrices(cost: ModelCost): TokenPrices {
  const million = (thousand: number | null) => (thousand === null ? null : thousand * 1_000);
  const cacheWrite = million(cost.cacheWritePer1k);
  const output = million(cost.outputPer1k);
  return {
    input: million(cost.inputPer1k),
    output,
    reasoning: output,
    cachedInput: million(cost.cachedInputPer1k),
    cacheWrite,
    cacheWriteHour: cacheWrite,
    // A price of one's own is agreed on whatever the tokens are of.
    inputAudio: million(cost.inputPer1k),
    inputImage: million(cost.inputPer1k),
    outputAudio: output,
  };
}

function over(first: TokenPrices, second: TokenPrices): TokenPrices {
  return {
    input: first.input ?? second.input,
    output: first.output ?? second.output,
    reasoning: first.reasoning ?? second.reasoning,
    cachedInput: first.cachedInput ?? second.cachedInput,
    cacheWrite: first.cacheWrite ?? second.cacheWrite,
    cacheWriteHour: first.cacheWriteHour ?? second.cacheWriteHour,
    inputAudio: first.inputAudio ?? second.inputAudio,
    inputImage: first.inputImage ?? second.inputImage,
    outputAudio: first.outputAudio ?? second.outputAudio,
  };
}

function ratesOf(prices: TokenPrices): TokenRates {
  const input = prices.input ?? 0;
  const output = prices.output ?? 0;
  const cacheWrite = prices.cacheWrite ?? input;
  return Object.freeze({
    input,
    output,
    reasoning: prices.reasoning ?? output,
    cachedInput: prices.cachedInput ?? input,
    cacheWrite,
    cacheWriteHour: prices.cacheWriteHour ?? cacheWrite,
    inputAudio: prices.inputAudio ?? input,
    inputImage: prices.inputImage ?? input,
    outputAudio: prices.outputAudio ?? output,
  });
}

const NO_IMAGE_PRICES: ReadonlyMap<string, number> = new Map();

function imagePrices(row: PriceRow | null): ReadonlyMap<string, number> {
  if (row === null || row.perImageOf === null) return NO_IMAGE_PRICES;
  return new Map(Object.entries(row.perImageOf).map(([looks, dollars]) => [looks, dollars * MICROS]));
}

/** Dollars a unit become micro-dollars. */
function unit(own: number | null | undefined, listed: number | null | undefined): number {
  return (own ?? listed ?? 0) * MICROS;
}
