/** What the rig asks of the loader process, and what it gets back: plain data, JSON on argv and stdout. */

/** A process whose CPU time and memory are read at both ends of the measuring window. */
export interface WatchedProcess {
  /** `beside`: a second loader. */
  readonly role: "middle" | "upstream" | "beside";
  readonly pids: readonly number[];
}

export interface LoadPlan {
  readonly host: string;
  readonly port: number;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  readonly connections: number;
  /** When to begin, ms since 1970, so that two loaders measure over one window; 0 = at once. */
  readonly beginAt: number;
  /** Starts of the connections are spread evenly over this many ms. */
  readonly rampMs: number;
  readonly warmupMs: number;
  readonly windowMs: number;
  /** How long answers under way may take to end after the window; what is open then is a failure. */
  readonly drainMs: number;
  /** Ends the window early after so many answers; 0 = by time only. */
  readonly stopAfter: number;
  readonly expect: ExpectedAnswer;
  readonly watch: readonly WatchedProcess[];
}

/**
 * `exact`: the body, without its HTTP chunking, must equal these bytes; events are counted at the given ends.
 * `message`: an answer of the messages API, whole or streamed, that says this; see `messageProblem`.
 */
export type ExpectedAnswer =
  | { readonly kind: "exact"; readonly bytes: string; readonly eventEnds: readonly number[] }
  | ExpectedMessage;

export interface ExpectedMessage {
  readonly kind: "message";
  readonly streamed: boolean;
  readonly model: string;
  /** The text, a delta each when streamed, else in one piece. */
  readonly texts: readonly string[];
  readonly inputTokens: number;
  readonly outputTokens: number;
}

/** Milliseconds. */
export interface Quantiles {
  readonly count: number;
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  readonly max: number;
}

/** Fractions of the window, 0 … 1, of one CPU core, over all processes of the machine. */
export interface CoreUse {
  readonly user: number;
  readonly system: number;
  readonly interrupts: number;
  readonly steal: number;
  readonly idle: number;
}

export interface ProcessUse {
  readonly role: WatchedProcess["role"];
  readonly cpuSeconds: number;
  /** Resident memory at the window's end and its peak since start, bytes, summed over the pids. */
  readonly residentBytes: number;
  readonly peakResidentBytes: number;
}

export interface LoadResult {
  readonly seconds: number;
  /** Answers that ended, whole and right, inside the window. */
  readonly completed: number;
  readonly events: number;
  readonly latency: Quantiles;
  /** From the request's write to the first body byte. */
  readonly firstByte: Quantiles;
  /** Between two reads of one stream that each completed an event. */
  readonly gaps: Quantiles;
  /** Over the whole run, warm-up and drain included. */
  readonly failures: number;
  readonly failureExamples: readonly string[];
  /** Connections opened again because the server announced `connection: close`. */
  readonly reconnects: number;
  readonly loaderCpuSeconds: number;
  readonly processes: readonly ProcessUse[];
  readonly cores: readonly CoreUse[];
}
