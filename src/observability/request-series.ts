/**
 * What is counted of each request, with one map lookup a request. Label values that strangers choose (the
 * upstream's name for its model) and the number of label sets are bounded; what does not fit counts as `_other`.
 */
import { type Cell, Family, HistogramCell } from "./series.js";
import { METRICS } from "./declarations.js";

export const OTHER = "_other";
/** Label sets a thread; each takes up to four histograms. */
const MAX_SETS = 1000;
const MAX_OVERFLOW_SETS = 256;
/** Names under which one upstream may know one configured model (dated versions, regional ones). */
const MAX_RESPONSE_MODELS = 8;

/** The conventions' names for what is asked for; ours where they have none. */
const CONVENTION_NAMES: Readonly<Record<string, string>> = {
  chat: "chat",
  messages: "chat",
  responses: "chat",
  completions: "text_completion",
  embeddings: "embeddings",
};

/** One finished request. Times in milliseconds; token counts below 0 are unknown. */
export interface RequestSample {
  /** The gateway's own request on the way of another: its tokens count, but nobody was answered. */
  readonly inner?: boolean;
  readonly operation: string;
  /** "" when no provider was chosen. */
  readonly provider: string;
  /** The configured model that matched (its pattern), never the caller's own text; "" = none. */
  readonly model: string;
  /** What the upstream says it used; "" = not said. */
  readonly responseModel: string;
  /** Status the caller saw. */
  readonly status: number;
  /** Code of the error table; "" = success. */
  readonly error: string;
  readonly streamed: boolean;
  readonly durationMs: number;
  /** To the first byte of the answer's body; 0 = none came. */
  readonly firstTokenMs: number;
  readonly inputTokens: number;
  readonly outputTokens: number;
  readonly cacheReadTokens: number;
  readonly cacheWriteTokens: number;
  readonly reasoningTokens: number;
}

interface SharedFamilies {
  readonly requests: Family<Cell>;
  readonly tokens: Family<Cell>;
  readonly overflows: Cell;
}

interface SeriesSet {
  readonly labels: readonly string[];
  readonly requests: Cell;
  readonly duration: HistogramCell;
  firstToken: HistogramCell | null;
  perToken: HistogramCell | null;
  inputUsage: HistogramCell | null;
  outputUsage: HistogramCell | null;
  readonly model: string;
  input: Cell | null;
  output: Cell | null;
  cacheRead: Cell | null;
  cacheWrite: Cell | null;
  reasoning: Cell | null;
}

function histograms(name: "gen_ai_client_token_usage" | "gen_ai_server_request_duration" | FirstOrPer) {
  const bounds = METRICS[name].buckets;
  return new Family<HistogramCell>(Number.POSITIVE_INFINITY, () => new HistogramCell(bounds));
}

type FirstOrPer = "gen_ai_server_time_to_first_token" | "gen_ai_server_time_per_output_token";

export class RequestSeries {
  readonly usage = histograms("gen_ai_client_token_usage");
  readonly duration = histograms("gen_ai_server_request_duration");
  readonly firstToken = histograms("gen_ai_server_time_to_first_token");
  readonly perToken = histograms("gen_ai_server_time_per_output_token");
  readonly #shared: SharedFamilies;
  readonly #sets = new Map<string, SeriesSet>();
  readonly #overflow = new Map<string, SeriesSet>();
  readonly #last = new Map<string, { readonly names: ModelSetNames; readonly set: SeriesSet }>();
  readonly #responseModels = new Map<string, Set<string>>();

  constructor(shared: SharedFamilies) {
    this.#shared = shared;
  }

  observe(sample: RequestSample): void {
    const set = this.#setOf(sample);
    if (sample.inner !== true) {
      set.requests.value += 1;
      set.duration.observe(sample.durationMs / 1000);
    }
    if (sample.streamed && sample.firstTokenMs > 0) this.#observeStream(set, sample);
    if (sample.inputTokens >= 0 || sample.outputTokens >= 0) this.#observeTokens(set, sample);
  }

  /** Most requests are as the last one to their model: no key is put together for them. */
  #setOf(sample: RequestSample): SeriesSet {
    const last = this.#last.get(sample.model);
    if (last !== undefined && isOfOneSet(last.names, sample)) return last.set;
    const set = this.#sets.get(keyOf(sample, sample.model, sample.responseModel));
    // What has no place of its own is counted as such each time.
    if (set === undefined) return this.#admit(sample);
    const { operation, provider, error, status, responseModel } = sample;
    this.#last.set(sample.model, { names: { operation, provider, error, status, responseModel }, set });
    return set;
  }

  #observeStream(set: SeriesSet, sample: RequestSample): void {
    set.firstToken ??= this.firstToken.cell(set.labels);
    set.firstToken.observe(sample.firstTokenMs / 1000);
    if (sample.outputTokens < 2) return;
    set.perToken ??= this.perToken.cell(set.labels);
    set.perToken.observe((sample.durationMs - sample.firstTokenMs) / (sample.outputTokens - 1) / 1000);
  }

  #observeTokens(set: SeriesSet, sample: RequestSample): void {
    if (sample.inputTokens >= 0) {
      set.inputUsage ??= this.usage.cell([...set.labels.slice(0, 4), "input"]);
      set.inputUsage.observe(sample.inputTokens);
      set.input ??= this.#tokens(set, "input");
      set.input.value += sample.inputTokens;
    }
    if (sample.outputTokens >= 0) {
      set.outputUsage ??= this.usage.cell([...set.labels.slice(0, 4), "output"]);
      set.outputUsage.observe(sample.outputTokens);
      set.output ??= this.#tokens(set, "output");
      set.output.value += sample.outputTokens;
    }
    if (sample.cacheReadTokens > 0) {
      set.cacheRead ??= this.#tokens(set, "cache_read");
      set.cacheRead.value += sample.cacheReadTokens;
    }
    if (sample.cacheWriteTokens > 0) {
      set.cacheWrite ??= this.#tokens(set, "cache_write");
      set.cacheWrite.value += sample.cacheWriteTokens;
    }
    if (sample.reasoningTokens > 0) {
      set.reasoning ??= this.#tokens(set, "reasoning");
      set.reasoning.value += sample.reasoningTokens;
    }
  }

  #tokens(set: SeriesSet, kind: string): Cell {
    return this.#shared.tokens.cell([set.model, kind]);
  }

  /** A label set not seen before, or one that has no place of its own. */
  #admit(sample: RequestSample): SeriesSet {
    const responseModel = this.#admitResponseModel(sample);
    const key = keyOf(sample, sample.model, responseModel);
    const known = this.#sets.get(key);
    if (known !== undefined) return known;
    if (this.#sets.size < MAX_SETS) {
      const set = this.#create(sample, sample.model, responseModel);
      this.#sets.set(key, set);
      return set;
    }
    this.#shared.overflows.value += 1;
    const overflowKey = keyOf(sample, OTHER, OTHER);
    const shared = this.#overflow.get(overflowKey);
    if (shared !== undefined) return shared;
    const full = this.#overflow.size >= MAX_OVERFLOW_SETS;
    const last = { operation: OTHER, provider: OTHER, error: OTHER, status: 0 };
    const lastKey = keyOf(last, OTHER, OTHER);
    const set = (full ? this.#overflow.get(lastKey) : undefined) ?? this.#create(full ? last : sample, OTHER, OTHER);
    this.#overflow.set(full ? lastKey : overflowKey, set);
    return set;
  }

  #admitResponseModel(sample: RequestSample): string {
    if (sample.responseModel === "") return "";
    let seen = this.#responseModels.get(sample.model);
    if (seen === undefined) {
      if (this.#responseModels.size >= MAX_SETS) return OTHER;
      seen = new Set();
      this.#responseModels.set(sample.model, seen);
    }
    if (seen.has(sample.responseModel)) return sample.responseModel;
    if (seen.size >= MAX_RESPONSE_MODELS || sample.responseModel.length > 256) return OTHER;
    seen.add(sample.responseModel);
    return sample.responseModel;
  }

  #create(sample: SetNames, model: string, responseModel: string): SeriesSet {
    const operation = CONVENTION_NAMES[sample.operation] ?? sample.operation;
    const labels = [operation, sample.provider, model, responseModel, sample.error];
    return {
      labels,
      requests: this.#shared.requests.cell([sample.operation, String(sample.status)]),
      duration: this.duration.cell(labels),
      firstToken: null,
      perToken: null,
      inputUsage: null,
      outputUsage: null,
      model,
      input: null,
      output: null,
      cacheRead: null,
      cacheWrite: null,
      reasoning: null,
    };
  }
}

type SetNames = Pick<RequestSample, "operation" | "provider" | "error" | "status">;
type ModelSetNames = SetNames & Pick<RequestSample, "responseModel">;

function isOfOneSet(one: ModelSetNames, other: ModelSetNames): boolean {
  return (
    one.operation === other.operation &&
    one.provider === other.provider &&
    one.error === other.error &&
    one.status === other.status &&
    one.responseModel === other.responseModel
  );
}

function keyOf(names: SetNames, model: string, responseModel: string): string {
  return `${names.operation}\n${names.provider}\n${model}\n${responseModel}\n${names.error}\n${names.status}`;
}
