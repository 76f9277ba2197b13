/** A fast hash for spreading things out: of names and keys, never of anything that must be kept secret or apart. */

const FIRST = 0xcc9e2d51;
const SECOND = 0x1b873593;

/** MurmurHash3 (x86, 32 bits) over a text's UTF-16 code units. Unsigned. */
export function hash32(text: string, seed = 0): number {
  const { length } = text;
  const even = length & ~1;
  let hash = seed | 0;
  for (let at = 0; at < even; at += 2) {
    hash ^= scrambled(text.charCodeAt(at) | (text.charCodeAt(at + 1) << 16));
    hash = (hash << 13) | (hash >>> 19);
    hash = (Math.imul(hash, 5) + 0xe6546b64) | 0;
  }
  if (even < length) hash ^= scrambled(text.charCodeAt(even));
  return mixed(hash ^ (length * 2));
}

/** Adds a number to a hash of several parts. Unsigned. */
export function combine(hash: number, part: number): number {
  return mixed(Math.imul(hash ^ scrambled(part), 5) + 0xe6546b64);
}

function scrambled(block: number): number {
  const product = Math.imul(block, FIRST);
  return Math.imul((product << 15) | (product >>> 17), SECOND);
}

function mixed(value: number): number {
  let hash = value;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
