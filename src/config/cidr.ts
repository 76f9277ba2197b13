/** Sets of network addresses, and the client's address behind trusted proxies. */
import { BlockList, isIP, SocketAddress } from "node:net";

/** A set of addresses. An IPv4 address written as IPv6 (`::ffff:10.0.0.1`) is that IPv4 address. */
export interface AddressSet {
  /** How many entries the set was built from. */
  readonly size: number;
  /** False for what is not an address. */
  contains(address: string): boolean;
}

interface Block {
  readonly address: string;
  readonly family: "ipv4" | "ipv6";
  readonly prefix: number;
}

// A chain of proxies is a handful long; more entries are someone else's invention.
const MAX_HOPS = 64;

/** Says what is wrong with an address or CIDR block; null = nothing. */
export function cidrProblem(text: string): string | null {
  return parseBlock(text) === null ? "must be an address or a CIDR block, such as 10.0.0.0/8 or 2001:db8::/32" : null;
}

/**
 * Builds a set from addresses and CIDR blocks. `::/0` holds every IPv6 address, but no IPv4 one.
 * Throws RangeError on an entry that is neither; `cidrProblem` tells beforehand.
 */
export function parseCidrs(list: readonly string[]): AddressSet {
  // IPv4 by arithmetic: this is asked for each request, and BlockList costs microseconds a question.
  const networks: number[] = [];
  const masks: number[] = [];
  const ipv6 = new BlockList();
  for (const [index, text] of list.entries()) {
    const block = parseBlock(text);
    if (block === null) throw new RangeError(`entry ${index} is not an address or CIDR block`);
    if (block.family === "ipv6") {
      ipv6.addSubnet(block.address, block.prefix, "ipv6");
      continue;
    }
    const mask = block.prefix === 0 ? 0 : -1 << (32 - block.prefix);
    networks.push(ipv4Number(block.address) & mask);
    masks.push(mask);
  }
  return Object.freeze({
    size: list.length,
    contains(address: string): boolean {
      if (list.length === 0) return false;
      const plain = canonicalAddress(address);
      if (plain === null) return false;
      if (plain.includes(":")) return ipv6.check(plain, "ipv6");
      const number = ipv4Number(plain);
      return masks.some((mask, index) => (number & mask) === networks[index]);
    },
  });
}

/**
 * One spelling for each address: IPv6 shortened and in lower case, IPv4-in-IPv6 as plain IPv4, no zone.
 * null for what is not an address.
 */
export function canonicalAddress(text: string): string | null {
  if (!text.includes(":")) return ipv4Number(text) < 0 ? null : text;
  if (isIP(text) === 0) return null;
  const zone = text.indexOf("%");
  const { address } = new SocketAddress({ address: zone < 0 ? text : text.slice(0, zone), family: "ipv6" });
  return address.startsWith("::ffff:") && address.includes(".") ? address.slice(7) : address;
}

/** An IPv4 address as a number, strictly four decimal parts without leading zeros; -1 for anything else. */
function ipv4Number(text: string): number {
  let number = 0;
  let part = -1;
  let dots = 0;
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index);
    if (code === 0x2e) {
      if (part < 0 || ++dots > 3) return -1;
      number = number * 256 + part;
      part = -1;
      continue;
    }
    const digit = code - 0x30;
    if (digit < 0 || digit > 9 || part === 0) return -1;
    part = part < 0 ? digit : part * 10 + digit;
    if (part > 255) return -1;
  }
  return dots === 3 && part >= 0 ? number * 256 + part : -1;
}

function parseBlock(text: string): Block | null {
  const slash = text.indexOf("/");
  const written = slash < 0 ? text : text.slice(0, slash);
  if (written.includes("%")) return null;
  const address = canonicalAddress(written);
  if (address === null) return null;
  const bits = written.includes(":") ? 128 : 32;
  const digits = slash < 0 ? String(bits) : text.slice(slash + 1);
  if (!/^(0|[1-9][0-9]{0,2})$/.test(digits) || Number(digits) > bits) return null;
  const prefix = Number(digits);
  if (address.includes(":")) return { address, family: "ipv6", prefix };
  if (bits === 32) return { address, family: "ipv4", prefix };
  // An IPv4 block in IPv6 clothes: its first 96 bits are fixed. A shorter prefix would mix both families.
  return prefix >= 96 ? { address, family: "ipv4", prefix: prefix - 96 } : null;
}

/**
 * The address of the client: `remote` unless that is a trusted proxy; then the rightmost entry of
 * X-Forwarded-For which is not a trusted proxy. An entry that is no address ends the search at the last
 * trusted hop, because nothing to its left can be believed.
 */
export function clientAddress(remote: string, forwardedFor: string, trusted: AddressSet): string {
  let hop = canonicalAddress(remote) ?? remote;
  if (trusted.size === 0 || forwardedFor === "" || !trusted.contains(hop)) return hop;
  let end = forwardedFor.length;
  for (let hops = 0; end >= 0 && hops < MAX_HOPS; hops++) {
    const comma = end === 0 ? -1 : forwardedFor.lastIndexOf(",", end - 1);
    const entry = forwardedAddress(forwardedFor.slice(comma + 1, end).trim());
    if (entry === null) return hop;
    hop = entry;
    if (!trusted.contains(entry)) return entry;
    end = comma;
  }
  return hop;
}

/** Reads one entry: an address, maybe with a port (`192.0.2.1:4711`, `[2001:db8::1]:4711`). */
function forwardedAddress(entry: string): string | null {
  const plain = canonicalAddress(entry);
  if (plain !== null) return plain;
  const parts = /^(?:\[([^\]]*)\]|([0-9.]+))(?::[0-9]{1,5})?$/.exec(entry);
  return parts === null ? null : canonicalAddress(parts[1] ?? parts[2] ?? "");
}
