/** A local endpoint that hands out credentials as a test tells it to, and a context that reaches nothing else. */
import { createServer, type IncomingMessage, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach } from "vitest";
import { type AuthContext, authContext } from "../../../../src/providers/auth/auth.js";

export interface SeenRequest {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingMessage["headers"];
  readonly body: string;
}

/** status, body; null: never answers. */
export type Answer = readonly [number, string | object] | null;
export type Play = (request: SeenRequest) => Answer | Promise<Answer>;

export interface FakeEndpoint {
  readonly url: string;
  readonly seen: SeenRequest[];
  play: Play;
  close(): void;
}

const servers: Server[] = [];

afterEach(() => {
  for (const server of servers.splice(0)) {
    server.close();
    server.closeAllConnections();
  }
});

/** Starts an endpoint; it is closed when the test ends. */
export async function fakeEndpoint(play: Play): Promise<FakeEndpoint> {
  const server = createServer(async (request, response) => {
    let body = "";
    for await (const chunk of request) body += chunk;
    const seen = { method: request.method ?? "", url: request.url ?? "", headers: request.headers, body };
    fake.seen.push(seen);
    const answer = await fake.play(seen);
    if (answer === null) return;
    const [status, content] = answer;
    response.writeHead(status, { "content-type": "application/json" });
    response.end(typeof content === "string" ? content : JSON.stringify(content));
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const close = (): void => {
    server.close();
    server.closeAllConnections();
  };
  const fake: FakeEndpoint = { url: `http://127.0.0.1:${port}`, seen: [], play, close };
  return fake;
}

export interface TestClock {
  now: number;
}

export interface TestWorld {
  readonly context: AuthContext;
  readonly clock: TestClock;
  readonly files: Map<string, string>;
}

/** A context with files, variables and a clock of the test's own. */
export function world(environment: Record<string, string> = {}, files: Record<string, string> = {}): TestWorld {
  const clock = { now: Date.parse("2025-01-02T03:04:05Z") };
  const known = new Map(Object.entries(files));
  const read = async (path: string): Promise<string> => {
    const text = known.get(path);
    if (text === undefined) throw Object.assign(new Error(`no such file ${path}`), { code: "ENOENT" });
    return text;
  };
  const context = { ...authContext(environment), now: () => clock.now, readFile: read, home: "/h", timeoutMs: 2_000 };
  return { context, clock, files: known };
}

/** A request as an attempt would send it. */
export const REQUEST = {
  method: "POST",
  url: "https://bedrock-runtime.us-east-1.amazonaws.com/model/anthropic.claude-v1%3A0/converse",
  headers: ["content-type", "application/json"],
  body: Buffer.from('{"messages":[]}'),
};

/** The error a promise is rejected with. */
export async function failureOf(promise: unknown): Promise<Error & { kind?: string }> {
  try {
    await promise;
  } catch (error) {
    return error as Error & { kind?: string };
  }
  throw new Error("nothing failed");
}
