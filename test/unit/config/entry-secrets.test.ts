import { describe, expect, it } from "vitest";
import { namedEntry } from "../../../src/config/entry-name.js";
import { isReference, mapSecrets, REDACTED, redactEntry } from "../../../src/config/entry-secrets.js";

const variable = (name: string): string => `$${`{${name}}`}`;

describe("the secrets of an entry", () => {
  it("are unreadable, all of them, but for variables", () => {
    const entry = {
      display_name: "main",
      api_key: { id: "AKIA", key: variable("KEY"), nested: ["x"], port: 7 },
      tls: { verify: true },
      request: {
        default_headers: { "X-Api-Key": "k", Authorization: `Bearer ${variable("T")}`, "x-team": "a", cookie: "c" },
        default_body_fields: { "auth.token": "t", max_tokens: 5, "extra.max_tokens": "5" },
        body_set: { api_key: "k", user: "u", token: { inner: "t" } },
      },
    };
    expect(redactEntry("provider_keys", entry)).toEqual({
      display_name: "main",
      api_key: { id: REDACTED, key: variable("KEY"), nested: [REDACTED], port: 7 },
      tls: { verify: true },
      request: {
        default_headers: {
          "X-Api-Key": REDACTED,
          Authorization: `Bearer ${variable("T")}`,
          "x-team": "a",
          cookie: REDACTED,
        },
        default_body_fields: { "auth.token": REDACTED, max_tokens: 5, "extra.max_tokens": "5" },
        body_set: { api_key: REDACTED, user: "u", token: { inner: REDACTED } },
      },
    });
  });

  it("are where each collection has them", () => {
    const credentials = { access_key_id: "a", secret_access_key: variable("S") };
    expect(
      redactEntry("guardrails", { api_key: "k", headers: { token: "t", a: "b" }, aws_credentials: credentials }),
    ).toEqual({
      api_key: REDACTED,
      headers: { token: REDACTED, a: "b" },
      aws_credentials: { access_key_id: REDACTED, secret_access_key: variable("S") },
    });
    expect(redactEntry("api_keys", { key_hash: "ab", metadata: { token: "label" } })).toEqual({
      key_hash: "ab",
      metadata: { token: "label" },
    });
  });

  it("are so however deep they stand, and where a header's value says what it is", () => {
    const request = {
      default_body_fields: { extra: { api_key: "k", list: [{ token: "t" }], max_tokens: 1, note: "Bearer of news" } },
      default_headers: { "x-upstream": "Bearer sk-1", "x-other": "basic dTpw", "x-note": "bearers" },
    };
    const shown = {
      default_body_fields: {
        extra: { api_key: REDACTED, list: [{ token: REDACTED }], max_tokens: 1, note: "Bearer of news" },
      },
      default_headers: { "x-upstream": REDACTED, "x-other": REDACTED, "x-note": "bearers" },
    };
    expect(redactEntry("provider_keys", { request })).toEqual({ request: shown });
    // What was shown is a secret when it comes back.
    const places: string[] = [];
    mapSecrets("provider_keys", { request: shown }, (secret, path) => places.push(`${path.join(".")} ${secret}`));
    expect(places).toHaveLength(4);
  });

  it("can be replaced by their places", () => {
    const places: unknown[] = [];
    mapSecrets("provider_keys", { secret: "s", request: { default_headers: { key: "k" } } }, (secret, path) => {
      places.push([secret, path]);
      return secret;
    });
    expect(places).toEqual([
      ["s", ["secret"]],
      ["k", ["request", "default_headers", "key"]],
    ]);
  });

  it.each([
    [variable("A"), true],
    [`${variable("A")}${variable("B")}`, true],
    [`Bearer ${variable("A")}`, true],
    [`sk-1${variable("A")}`, false],
    [`${variable("A")}-1`, false],
    ["$A", false],
    ["", false],
  ])("are variables alone: %s %s", (text, expected) => {
    expect(isReference(text)).toBe(expected);
  });
});

describe("the name of an entry", () => {
  it("is the one that it says", () => {
    expect(namedEntry("models", { name: "a" })?.name).toBe("a");
    expect(namedEntry("models", { display_name: "b", name: "a" })?.name).toBe("b");
    for (const none of [{}, { name: "" }, { name: 1 }, [], null, "a"]) expect(namedEntry("models", none)).toBeNull();
  });

  it("is made of what hangs where for an attachment without an id", () => {
    const attachment = { guardrail: "pii", scope_type: "model", scope_id: "gpt" };
    expect(namedEntry("guardrail_attachments", attachment)).toEqual({
      name: "pii@model:gpt",
      value: { id: "pii@model:gpt", ...attachment },
    });
    expect(namedEntry("guardrail_attachments", { ...attachment, id: "x" })?.name).toBe("x");
    expect(namedEntry("guardrail_attachments", { guardrail_id: "g", scope_type: "env", scope_id: null })?.name).toBe(
      "g@env",
    );
    expect(namedEntry("guardrail_attachments", { scope_type: "env" })).toBeNull();
  });
});
