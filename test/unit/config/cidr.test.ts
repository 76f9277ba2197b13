import { isIPv4 } from "node:net";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { canonicalAddress, cidrProblem, clientAddress, parseCidrs } from "../../../src/config/cidr.js";

const octets = fc.tuple(fc.nat(255), fc.nat(255), fc.nat(255), fc.nat(255));
const number = (parts: readonly number[]): number => parts.reduce((sum, part) => sum * 256 + part, 0);

describe("parseCidrs", () => {
  it("agrees with arithmetic on IPv4, however the address is spelled", () => {
    fc.assert(
      fc.property(octets, fc.nat(32), octets, fc.nat(32), (base, prefix, other, shared) => {
        // Half of the addresses share their first bits with the block, or nothing would ever match.
        const mixed = number(other) % 2 === 0 ? number(other) : mix(number(base), number(other), shared);
        const parts = [24, 16, 8, 0].map((shift) => Math.floor(mixed / 2 ** shift) % 256);
        const inside = Math.floor(mixed / 2 ** (32 - prefix)) === Math.floor(number(base) / 2 ** (32 - prefix));
        const set = parseCidrs([`${base.join(".")}/${prefix}`]);
        const hex = parts.map((part) => part.toString(16).padStart(2, "0"));
        expect(set.contains(parts.join("."))).toBe(inside);
        expect(set.contains(`::ffff:${parts.join(".")}`)).toBe(inside);
        expect(set.contains(`0:0:0:0:0:FFFF:${hex[0]}${hex[1]}:${hex[2]}${hex[3]}`)).toBe(inside);
        expect(parseCidrs([`::ffff:${base.join(".")}/${96 + prefix}`]).contains(parts.join("."))).toBe(inside);
      }),
    );
  });

  it("keeps the families apart", () => {
    expect(parseCidrs(["::/0"]).contains("192.0.2.1")).toBe(false);
    expect(parseCidrs(["::/0"]).contains("::ffff:192.0.2.1")).toBe(false);
    expect(parseCidrs(["::/0"]).contains("2001:db8::1")).toBe(true);
    expect(parseCidrs(["0.0.0.0/0"]).contains("2001:db8::1")).toBe(false);
    expect(parseCidrs(["2001:db8::/32"]).contains("2001:0DB8:0000::0001")).toBe(true);
    expect(parseCidrs(["2001:db8::/32"]).contains("2001:db9::1")).toBe(false);
    expect(parseCidrs(["fe80::/10"]).contains("fe80::1%eth0")).toBe(true);
  });

  it("takes a single address and refuses what is neither", () => {
    expect(parseCidrs(["192.0.2.1"]).contains("192.0.2.1")).toBe(true);
    expect(parseCidrs(["192.0.2.1"]).contains("192.0.2.2")).toBe(false);
    expect(parseCidrs([]).contains("192.0.2.1")).toBe(false);
    expect(parseCidrs(["0.0.0.0/0"]).contains("no address")).toBe(false);
    for (const bad of ["", "x", "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/-1", "10.0.0.0/08", "10.0.0/8", "::/129"]) {
      expect(cidrProblem(bad), bad).not.toBeNull();
      expect(() => parseCidrs([bad]), bad).toThrow(RangeError);
    }
    for (const bad of ["fe80::1%eth0", "::ffff:10.0.0.0/95", "010.0.0.1", "10.0.0.0/8/8"]) {
      expect(cidrProblem(bad), bad).not.toBeNull();
    }
  });
});

function mix(base: number, other: number, shared: number): number {
  const low = 2 ** (32 - shared);
  return Math.floor(base / low) * low + (other % low);
}

describe("canonicalAddress", () => {
  it("writes every IPv6 spelling of an address alike", () => {
    expect(canonicalAddress("2001:0DB8:0:0::0001")).toBe("2001:db8::1");
    expect(canonicalAddress("0000:0000:0000:0000:0000:ffff:7f00:0001")).toBe("127.0.0.1");
    expect(canonicalAddress("localhost")).toBeNull();
  });

  it("agrees with the platform about what an IPv4 address is", () => {
    const nearly = fc.oneof(
      fc.string({ unit: fc.constantFrom("0", "1", "2", "5", "9", ".", " "), maxLength: 16 }),
      fc.array(fc.nat(300), { minLength: 3, maxLength: 5 }).map((parts) => parts.join(".")),
    );
    fc.assert(
      fc.property(nearly, (text) => {
        expect(canonicalAddress(text)).toBe(isIPv4(text) ? text : null);
      }),
      { numRuns: 1000 },
    );
  });
});

describe("clientAddress", () => {
  const trusted = parseCidrs(["10.0.0.0/8", "fd00::/8"]);

  it.each([
    ["203.0.113.9", "198.51.100.1", "203.0.113.9", "an untrusted peer's header is not read"],
    ["10.0.0.1", "", "10.0.0.1", "no header"],
    ["10.0.0.1", "198.51.100.1", "198.51.100.1", "one proxy"],
    ["10.0.0.1", "6.6.6.6, 198.51.100.1, 10.0.0.2", "198.51.100.1", "what a client invents stands further left"],
    ["10.0.0.1", "10.0.0.3,10.0.0.2", "10.0.0.3", "all trusted: the outermost"],
    ["10.0.0.1", "198.51.100.1, unknown, 10.0.0.2", "10.0.0.2", "garbage ends the search"],
    ["10.0.0.1", "unknown", "10.0.0.1", "garbage at once"],
    ["10.0.0.1", "198.51.100.1,", "10.0.0.1", "an empty entry is garbage"],
    ["10.0.0.1", ",", "10.0.0.1", "nothing but a comma"],
    ["10.0.0.1", "198.51.100.1:4711", "198.51.100.1", "with a port"],
    ["10.0.0.1", "[2001:DB8::1]:4711", "2001:db8::1", "IPv6 with a port"],
    ["10.0.0.1", "2001:db8::1", "2001:db8::1", "bare IPv6"],
    ["::ffff:10.0.0.1", "::ffff:198.51.100.1", "198.51.100.1", "IPv4 in IPv6 clothes"],
    ["fd00::1", "198.51.100.1", "198.51.100.1", "an IPv6 proxy"],
    ["10.0.0.1", "198.51.100.1\t , 10.0.0.2 ", "198.51.100.1", "blanks"],
  ])("%s with %j is %s (%s)", (remote, header, expected) => {
    expect(clientAddress(remote, header, trusted)).toBe(expected);
  });

  it("never believes an entry to the left of the rightmost untrusted one", () => {
    const proxy = fc.tuple(fc.nat(255), fc.nat(255)).map(([a, b]) => `10.1.${a}.${b}`);
    const outside = fc.tuple(fc.nat(255), fc.nat(255)).map(([a, b]) => `198.51.${a}.${b}`);
    fc.assert(
      fc.property(
        fc.string(),
        outside,
        fc.array(proxy, { maxLength: 5 }),
        fc.constantFrom(",", ", ", " ,"),
        (invented, client, proxies, comma) => {
          const header = [invented.replaceAll(",", ""), client, ...proxies].join(comma);
          expect(clientAddress("10.0.0.1", header, trusted)).toBe(client);
        },
      ),
    );
  });

  it("answers the peer or an address for any header at all", () => {
    fc.assert(
      fc.property(
        fc.string({ unit: fc.constantFrom("1", "0", ".", ",", ":", "[", "]", " ", "a"), maxLength: 60 }),
        (header) => {
          const address = clientAddress("10.0.0.1", header, trusted);
          expect(canonicalAddress(address)).toBe(address);
        },
      ),
    );
  });

  it("does not walk an endless chain", () => {
    const header = `198.51.100.1,${"10.0.0.2,".repeat(5000)}10.0.0.2`;
    expect(clientAddress("10.0.0.1", header, trusted)).toBe("10.0.0.2");
  });
});
