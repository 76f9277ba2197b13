/** What a scenario of the fleet rig finds. */

export interface Outcome {
  readonly scenario: string;
  /** What happened meanwhile, or "". */
  readonly variant: string;
  /** What must hold, for people. */
  readonly bar: string;
  /** Shorter or smaller than the bar asks. */
  readonly short: boolean;
  readonly figures: Readonly<Record<string, number | string>>;
  /** Each way in which the bar was missed; [] = passed. */
  readonly problems: readonly string[];
  readonly seconds: number;
}

export interface RigOptions {
  readonly short: boolean;
  /** Through HAProxy; else to the nodes by turns. */
  readonly balanced: boolean;
  /** Of `usage-kills`. */
  readonly requests: number;
  /** Of `rpm` and `tpm`, for each variant. */
  readonly windows: number;
  /** Of `config-changes`. */
  readonly changes: number;
  /** How long one of them may take at the 99th percentile, ms. */
  readonly propagationMs: number;
  /** How long all of NATS is away. */
  readonly awayMs: number;
  readonly seed: number;
  readonly say: (line: string) => void;
}

/** The first so many of a list of problems, and how many more there are. */
export function few(problems: readonly string[], most = 5): string[] {
  if (problems.length <= most) return [...problems];
  return [...problems.slice(0, most), `… and ${problems.length - most} more`];
}

/** Numbers from 0 to below 1, the same for the same seed (mulberry32). */
export function chances(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
