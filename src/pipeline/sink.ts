/** Where an answer goes: the client's side of one exchange, as the pipeline sees it. */
export interface Sink {
  /** The client has gone or the answer has ended; nothing more can be written. */
  readonly closed: boolean;
  /** Has the head of the answer been sent? */
  readonly started: boolean;
  /** A whole answer at once. `headers` alternates names and values. */
  answer(status: number, headers: readonly string[], body: string | Buffer): void;
  /** The head of an answer whose body follows in pieces; sent together with the first piece. */
  start(status: number, headers: readonly string[]): void;
  /** Writes a piece. False: the client is slow; wait for the callback given to `onWritable`. */
  write(chunk: Buffer | string): boolean;
  /** The client is slow, and that is accepted: call it more often than the connection's own patience ends. */
  keepWaiting(): void;
  /** Calls back once when the client takes more again. */
  onWritable(callback: () => void): void;
  /** Ends an answer begun with `start`, with a last piece if there is one. */
  end(chunk: Buffer | null): void;
  /** Breaks the connection off: the client must not take what it has for a whole answer. */
  abort(): void;
}
