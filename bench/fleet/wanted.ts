/** What the rig's requests ask of its upstream, in the body's field `fleet`, and what the upstream tells afterwards. */

export interface Wanted {
  /** Tokens; by default they differ from call to call. */
  readonly input?: number;
  readonly output?: number;
  /** Of a stream: its frames, each a token, and the milliseconds between them. */
  readonly frames?: number;
  readonly gap_ms?: number;
  /** The text of the answer tells what came with the request. */
  readonly echo?: boolean;
}

/** The text of an answer that was asked to echo, as JSON. */
export interface Echo {
  readonly model: string;
  readonly authorization: string;
  readonly revision: string;
}

/** What one request of the rig was given, over all calls that the gateways made of it. */
export interface Given {
  calls: number;
  input: number;
  output: number;
}

/** When a call came, ms since 1970 with fractions, and its tokens in all. */
export type Arrival = readonly [at: number, tokens: number];
