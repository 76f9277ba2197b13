/** The bytes between threads (and later nodes): msgpackr, records off so that any side can read any message. */
import { Packr } from "msgpackr";

const packr = new Packr({ useRecords: false, encodeUndefinedAsNil: false, moreTypes: false });

/** Packs plain data. */
export function pack(value: unknown): Uint8Array {
  return packr.pack(value);
}

/** Unpacks what `pack` made. Only for bytes of our own making. */
export function unpack<T>(bytes: Uint8Array): T {
  return packr.unpack(bytes) as T;
}
