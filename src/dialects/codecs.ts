/** The codecs of every dialect and wire, by name. */
import type { ClientCodec, TargetCodec } from "./codec.js";
import type { DialectId, WireId } from "./dialect.js";

const CLIENTS: Partial<Record<DialectId, ClientCodec>> = {};
const TARGETS: Partial<Record<WireId, TargetCodec>> = {};

/** Throws RangeError for a dialect that callers cannot speak off the diagonal. */
export function clientCodecOf(dialect: DialectId): ClientCodec {
  const codec = CLIENTS[dialect];
  if (codec === undefined) throw new RangeError(`${dialect} has no client codec`);
  return codec;
}

/** Throws RangeError for a wire that is only ever reached on the diagonal. */
export function targetCodecOf(wire: WireId): TargetCodec {
  const codec = TARGETS[wire];
  if (codec === undefined) throw new RangeError(`${wire} has no target codec`);
  return codec;
}
