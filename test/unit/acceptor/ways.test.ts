import { describe, expect, it } from "vitest";
import { Cors } from "../../../src/acceptor/cors.js";
import { RouteTable } from "../../../src/acceptor/route-table.js";
import { ROUTES } from "../../../src/acceptor/routes.js";
import type { Route } from "../../../src/pipeline/exchange.js";
import { dialectOf } from "../../../src/dialects/registry.js";

const dialect = dialectOf("raw");
const row = (method: Route["method"], path: string): Route => ({ method, path, operation: "passthrough", dialect });

describe("the route table", () => {
  const table = new RouteTable([
    row("GET", "/v1/files"),
    row("POST", "/v1/files"),
    row("GET", "/v1/files/{id}"),
    row("DELETE", "/v1/files/{id}"),
    row("GET", "/v1/files/{id}/content"),
    row("POST", "/deployments/{model}/chat"),
    row("ANY", "/raw/{rest}"),
  ]);

  it.each([
    ["get", "/v1/files", "GET", ""],
    ["head", "/v1/files", "GET", ""],
    ["post", "/v1/files", "POST", ""],
    ["delete", "/v1/files/a%20b", "DELETE", "a b"],
    ["get", "/v1/files/a/content", "GET", "a"],
    ["post", "/deployments/a/b/chat", "POST", "a/b"],
    ["options", "/raw/a%2Fb//c", "ANY", "a%2Fb//c"],
    ["head", "/raw/a", "ANY", "a"],
  ])("%s %s", (method, path, found, parameter) => {
    expect(table.find(method, path)).toMatchObject({ fits: true, parameter, route: { method: found } });
  });

  it("tells what a path takes", () => {
    expect(table.find("put", "/v1/files")).toMatchObject({ fits: false, allow: "GET, HEAD, POST, OPTIONS" });
    for (const method of ["trace", "connect", "brew"]) {
      expect(table.find(method, "/raw/a")).toMatchObject({ fits: false, allow: expect.not.stringContaining("TRACE") });
    }
    expect(table.find("post", "/v1/files/a")).toMatchObject({ fits: false, allow: "GET, HEAD, DELETE, OPTIONS" });
  });

  it("leaves one segment open for an id, and nothing where there is none", () => {
    for (const path of ["/v1/files/", "/v1/files/a/b", "/v1/files/%zz", "/raw/", "/v1"]) {
      expect(table.find("get", path)).toBeUndefined();
    }
  });

  it("names each method of a path once", () => {
    const names = ROUTES.map(({ method, path }) => `${method} ${path}`);
    expect(new Set(names).size).toBe(names.length);
  });
});

describe("pages of other origins", () => {
  const page = "https://app.example";

  it("are told nothing while no origin is named", () => {
    const cors = new Cors({ origins: [], headers: [], max_age: 600 });
    expect(cors.headersFor(page)).toEqual([]);
    expect(cors.permission(page, "GET", "authorization")).toEqual([]);
  });

  it("that are named may read answers; others may not", () => {
    const cors = new Cors({ origins: [page], headers: [], max_age: 5 });
    expect(cors.headersFor(page)).toEqual(
      expect.arrayContaining(["access-control-allow-origin", page, "vary", "origin"]),
    );
    expect(cors.headersFor("https://other.example")).toEqual(["vary", "origin"]);
    expect(cors.permission("https://other.example", "GET", "")).toEqual([]);
    expect(cors.permission(page, "GET, POST", "authorization, x-own")).toEqual([
      ...["access-control-allow-methods", "GET, POST", "access-control-max-age", "5"],
      ...["access-control-allow-headers", "authorization, x-own"],
    ]);
    expect(cors.permission(page, "GET", "x\r\ny: z")).not.toContain("access-control-allow-headers");
  });

  it("of everywhere may read answers, without credentials of the browser's", () => {
    const cors = new Cors({ origins: ["*"], headers: ["authorization"], max_age: 5 });
    expect(cors.headersFor(page)).toEqual(expect.arrayContaining(["access-control-allow-origin", "*"]));
    expect(cors.headersFor(page)).not.toContain("access-control-allow-credentials");
    expect(cors.permission(page, "GET", "x-own")).toContain("authorization");
  });
});
