/** Keeps the beginning of an answer, by reference, in case its usage has to be estimated. */
const SAMPLE_BYTES = 65_536;

export class AnswerSample {
  #chunks: Buffer[] = [];
  #bytes = 0;
  #total = 0;

  add(chunk: Buffer): void {
    this.#total += chunk.length;
    if (this.#bytes >= SAMPLE_BYTES) return;
    this.#chunks.push(chunk);
    this.#bytes += chunk.length;
  }

  /** Bytes of everything that was added, kept or not. */
  get total(): number {
    return this.#total;
  }

  bytes(): Buffer {
    return this.#chunks.length === 1 ? (this.#chunks[0] as Buffer) : Buffer.concat(this.#chunks);
  }
}
