import { describe, expect, it } from "vitest";
import { PII_TYPES, type PiiType } from "../../../src/config/traffic.js";
import { DETECTORS } from "../../../src/guardrails/pii-detectors.js";

function matches(type: PiiType, text: string): string[] {
  const all: string[] = [];
  for (let at = 0; ; ) {
    const match = DETECTORS[type].find(text, at);
    if (match === null) return all;
    all.push(text.slice(match.start, match.end));
    at = match.end;
  }
}

const KEY = "-----BEGIN RSA PRIVATE KEY-----\nMIIEow\n-----END RSA PRIVATE KEY-----";
const JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJlLXNpZw";

/** What is found in a text, and texts in which nothing is. */
const CASES: Readonly<Record<PiiType, { found: [string, string[]][]; clean: string[] }>> = {
  email: {
    found: [
      ["write to ann@example.com, please", ["ann@example.com"]],
      ["<bob.b+tag@mail.example.co.uk>.", ["bob.b+tag@mail.example.co.uk"]],
      ["a@b.io c@d.io", ["a@b.io", "c@d.io"]],
    ],
    clean: ["ann@example", "@example.com", "a @ b.com", "x@.com", `${"a".repeat(5_000)}`, "@".repeat(5_000)],
  },
  phone: {
    found: [
      ["call +49 170 1234567 now", ["+49 170 1234567"]],
      ["+14155552671", ["+14155552671"]],
      ["(415) 555-2671 or 415-555-2671", ["(415) 555-2671", "415-555-2671"]],
    ],
    clean: ["in 2024-2025", "12345678901234", "+12", "version 1.2.3"],
  },
  credit_card: {
    found: [
      ["4111 1111 1111 1111", ["4111 1111 1111 1111"]],
      ["card 5500-0000-0000-0004 12/27", ["5500-0000-0000-0004"]],
      ["1 4111111111111111", ["4111111111111111"]],
      ["378282246310005.", ["378282246310005"]],
    ],
    clean: ["4111 1111 1111 1112", "0000 0000 0000 0000", "41111111111111111111111", "order 12345678901234"],
  },
  us_ssn: {
    found: [
      ["SSN 123-45-6789.", ["123-45-6789"]],
      ["123 45 6789", ["123 45 6789"]],
    ],
    clean: ["000-12-3456", "666-12-3456", "900-12-3456", "123-00-4567", "123-45-0000", "123-45-67890", "123-45 6789"],
  },
  iban: {
    found: [
      ["IBAN DE89 3704 0044 0532 0130 00 of ann", ["DE89 3704 0044 0532 0130 00"]],
      ["GB82WEST12345698765432", ["GB82WEST12345698765432"]],
    ],
    clean: ["DE88 3704 0044 0532 0130 00", "XX89 3704 0044 0532 0130 00", "DE89 3704 0044", "ADE89370400440532013000"],
  },
  ip_address: {
    found: [
      ["from 192.168.0.1:80", ["192.168.0.1"]],
      ["2001:db8::8a2e:370:7334 answered", ["2001:db8::8a2e:370:7334"]],
      ["::1.", ["::1"]],
    ],
    clean: ["256.1.1.1", "1.2.3.4.5", "at 12:30:45", "std::vector", "a::b", "v1.2.3.4"],
  },
  api_key: {
    found: [
      ["key=sk-abcdefghijklmnopqrstuvwx", ["sk-abcdefghijklmnopqrstuvwx"]],
      ["AKIAIOSFODNN7EXAMPLE", ["AKIAIOSFODNN7EXAMPLE"]],
      ["ghp_abcdefghijklmnopqrstuvwxyz0123456789", ["ghp_abcdefghijklmnopqrstuvwxyz0123456789"]],
    ],
    clean: ["sk-short", "task-abcdefghijklmnopqrstuvwx", "AKIA", "mask-sk"],
  },
  jwt: { found: [[`Bearer ${JWT}.`, [JWT]]], clean: ["eyJ.eyJ.x", "a.b.c"] },
  private_key: {
    found: [
      [`${KEY}\nrest`, [KEY]],
      ["-----BEGIN PRIVATE KEY-----\nMIIE", ["-----BEGIN PRIVATE KEY-----\nMIIE"]],
    ],
    clean: ["-----BEGIN CERTIFICATE-----\nMIIE\n-----END CERTIFICATE-----", "-----BEGIN "],
  },
  bank_card: {
    found: [["6222 0212 3456 7890 128", ["6222 0212 3456 7890 128"]]],
    clean: ["1111111111111111", "6222 0212 3456 7890 127"],
  },
  china_mobile: {
    found: [
      ["13812345678", ["13812345678"]],
      ["+86 138 1234 5678", ["+86 138 1234 5678"]],
    ],
    clean: ["12812345678", "138123456789"],
  },
  china_id_card: {
    found: [["11010519491231002X", ["11010519491231002X"]]],
    clean: ["110105194912310021", "11010519491331002X"],
  },
};

describe.each(PII_TYPES)("%s", (type) => {
  it.each(CASES[type].found)("finds in %j", (text, wanted) => {
    expect(matches(type, text)).toEqual(wanted);
  });

  it.each(CASES[type].clean)("finds nothing in %j", (text) => {
    expect(matches(type, text)).toEqual([]);
  });

  it("reads a megabyte of hostile text in little time", () => {
    for (const unit of ["a", "1", "1 ", "+1", "@", "a@", "a.", "::", "DE89 ", "eyJ", "sk-", "-----BEGIN "]) {
      const text = unit.repeat(1_000_000 / unit.length);
      const began = performance.now();
      matches(type, text);
      DETECTORS[type].open(text, 0);
      expect(performance.now() - began, unit).toBeLessThan(2_000);
    }
  });
});
