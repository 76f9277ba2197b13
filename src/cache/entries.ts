/** Entries of the cache: as they are written, found and walked over. */

/** What purges go by: hashes of names. */
export interface EntryTags {
  readonly policy: number;
  readonly model: number;
  readonly apiKey: number;
}

/** The names themselves, as the nodes of a fleet tell them to each other. */
export interface EntryNames {
  readonly policy: string;
  /** As callers name it. */
  readonly model: string;
  /** Of whoever asked first. */
  readonly apiKey: string;
}

/** What a semantic look-up goes by. */
export interface EntryMeaning {
  /** At least 16 bytes, of which 16 count. */
  readonly partition: Buffer;
  /** Of length 1. */
  readonly vector: Float32Array;
}

export interface NewEntry {
  /** 32 bytes. */
  readonly key: Buffer;
  readonly meta: Buffer;
  readonly body: Buffer;
  /** Milliseconds since the epoch. */
  readonly expiresAt: number;
  readonly tags: EntryTags;
  readonly meaning: EntryMeaning | null;
}

export interface FoundEntry {
  readonly meta: Buffer;
  readonly body: Buffer;
  /** Milliseconds since the epoch. */
  readonly expiresAt: number;
}

/** An entry with a vector, as a walk meets it. */
export interface MeaningfulEntry {
  readonly position: number;
  readonly key: Buffer;
  /** 16 bytes, hexadecimal. */
  readonly partition: string;
  readonly policy: number;
  readonly vectorLength: number;
  /** Milliseconds since the epoch. */
  readonly expiresAt: number;
}
