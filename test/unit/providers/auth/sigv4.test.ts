import { createHash, createHmac, type Hash, type Hmac } from "node:crypto";
import { SignatureV4 } from "@smithy/signature-v4";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type AwsKeys, Signer } from "../../../../src/providers/auth/sigv4.js";
import { REQUEST } from "./endpoint-fake.js";

const KEYS: AwsKeys = {
  accessKeyId: "AKIDEXAMPLE",
  secretAccessKey: "wJalrXUtnFEMI/K7MDENG+bPxRfiCY",
  sessionToken: "",
};
const NOW = Date.parse("2025-01-02T03:04:05Z");

class Sha256 {
  readonly #hash: Hash | Hmac;

  constructor(secret?: string | Uint8Array) {
    this.#hash = secret === undefined ? createHash("sha256") : createHmac("sha256", secret);
  }

  update(data: Uint8Array): void {
    this.#hash.update(data);
  }

  async digest(): Promise<Uint8Array> {
    return this.#hash.digest();
  }
}

function value(flat: readonly string[], name: string): string | undefined {
  const at = flat.findIndex((word, index) => index % 2 === 0 && word === name);
  return at < 0 ? undefined : flat[at + 1];
}

interface Signed {
  readonly path: string;
  readonly query: Record<string, string>;
  readonly headers: Record<string, string>;
  readonly body: string;
  readonly keys: AwsKeys;
}

/** What the vendor's own signer says. */
async function reference({ path, query, headers, body, keys }: Signed): Promise<string> {
  const { sessionToken, ...long } = keys;
  const signer = new SignatureV4({
    service: "bedrock",
    region: "eu-west-1",
    credentials: sessionToken === "" ? long : keys,
    sha256: Sha256 as never,
    applyChecksum: false,
  });
  const request = { method: "POST", protocol: "https:", hostname: "h.example.com", path, query, body };
  const signed = await signer.sign(
    { ...request, headers: { host: "h.example.com", ...headers } },
    { signingDate: new Date(NOW) },
  );
  return signed.headers.authorization ?? "";
}

function own({ path, query, headers, body, keys }: Signed): string {
  const search = new URLSearchParams(query).toString().replaceAll("+", "%20");
  const url = `https://h.example.com${path}${search === "" ? "" : `?${search}`}`;
  const request = { method: "POST", url, headers: Object.entries(headers).flat(), body: Buffer.from(body) };
  return value(new Signer("eu-west-1", "bedrock").sign(request, keys, NOW), "authorization") ?? "";
}

describe("a signature", () => {
  it("is the one the vendor's own signer makes", async () => {
    const requests: Signed[] = [
      {
        path: "/model/anthropic.claude-v1%3A0/converse",
        query: {},
        headers: { "content-type": "application/json" },
        body: '{"a":"ü"}',
        keys: KEYS,
      },
      {
        path: "/model/arn%3Aaws%3Abedrock%3Aeu%3A1%3Aprofile%2Fab/converse-stream",
        query: {},
        headers: {},
        body: "",
        keys: { ...KEYS, sessionToken: "tok+/=" },
      },
      {
        path: "/a//b/./c/../d/",
        query: { b: "2", a: "1 *'()", "": "x" },
        headers: { "x-amzn-trace": " a   b " },
        body: "x",
        keys: KEYS,
      },
      { path: "/", query: {}, headers: {}, body: "", keys: KEYS },
    ];
    for (const request of requests) expect(own(request)).toBe(await reference(request));
  });

  it("is that for any path, body and token", async () => {
    const segment = fc.string({ unit: "binary", minLength: 1, maxLength: 12 }).map((text) => encodeURIComponent(text));
    const token = fc.stringMatching(/^[A-Za-z0-9+/=]{0,20}$/);
    await fc.assert(
      fc.asyncProperty(
        fc.array(segment, { minLength: 1, maxLength: 4 }),
        fc.string(),
        token,
        async (path, body, sessionToken) => {
          const request = { path: `/${path.join("/")}`, query: {}, headers: {}, body, keys: { ...KEYS, sessionToken } };
          expect(own(request)).toBe(await reference(request));
        },
      ),
      { numRuns: 60 },
    );
  });

  it("comes with the date and the token, and covers the body, the host and both of them", () => {
    const signer = new Signer("us-east-1", "bedrock");
    const flat = signer.sign(REQUEST, { ...KEYS, sessionToken: "session" }, NOW);
    expect(value(flat, "x-amz-date")).toBe("20250102T030405Z");
    expect(value(flat, "x-amz-security-token")).toBe("session");
    const authorization = value(flat, "authorization") ?? "";
    expect(authorization).toContain("Credential=AKIDEXAMPLE/20250102/us-east-1/bedrock/aws4_request");
    expect(authorization).toContain("SignedHeaders=content-type;host;x-amz-date;x-amz-security-token");
    const others = [
      { ...REQUEST, body: Buffer.from("{}") },
      { ...REQUEST, url: REQUEST.url.replace("us-east-1", "us-east-2") },
      { ...REQUEST, url: REQUEST.url.replace("%3A", ":") },
    ];
    for (const other of others) {
      const another = signer.sign(other, { ...KEYS, sessionToken: "session" }, NOW);
      expect(value(another, "authorization")).not.toBe(authorization);
    }
  });

  it("follows the day and the keys", () => {
    const signer = new Signer("us-east-1", "bedrock");
    const fresh = (keys: AwsKeys, now: number): string[] => new Signer("us-east-1", "bedrock").sign(REQUEST, keys, now);
    const other = { ...KEYS, secretAccessKey: "other" };
    for (const [keys, now] of [
      [KEYS, NOW],
      [KEYS, NOW + 86_400_000],
      [other, NOW],
      [KEYS, NOW],
    ] as const) {
      expect(signer.sign(REQUEST, keys, now)).toEqual(fresh(keys, now));
    }
  });

  it("leaves the default port out of the host, and keeps another", () => {
    const signer = new Signer("us-east-1", "bedrock");
    const plain = signer.sign({ ...REQUEST, url: "https://h/a" }, KEYS, NOW);
    expect(signer.sign({ ...REQUEST, url: "https://h:443/a" }, KEYS, NOW)).toEqual(plain);
    expect(signer.sign({ ...REQUEST, url: "https://h:8443/a" }, KEYS, NOW)).not.toEqual(plain);
  });
});
