/** The bytes between the nodes: msgpackr, records off so that any version can read any message. */
import { Packr } from "msgpackr";

const packr = new Packr({ useRecords: false, encodeUndefinedAsNil: false, moreTypes: false });

/** Packs plain data. */
export function pack(value: unknown): Uint8Array {
  return packr.pack(value);
}

/** What the bytes say, or undefined when they say nothing: others may write to the same subjects. To be checked. */
export function unpack(bytes: Uint8Array): unknown {
  try {
    return packr.unpack(bytes);
  } catch {
    return undefined;
  }
}
