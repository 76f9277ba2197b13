/** A server that stands for the clouds: it records what it is asked and answers as it is told, by path. */
import { createServer, type IncomingHttpHeaders, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export interface CloudRequest {
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
  readonly body: Record<string, unknown>;
}

export interface CloudUpstream {
  readonly url: string;
  /** What has been asked since the last look. */
  taken(): CloudRequest[];
  /** Answers requests whose path holds `part`; the latest such rule counts. */
  on(part: string, answer: (request: CloudRequest, response: ServerResponse) => void): void;
  close(): Promise<void>;
}

export async function startCloudUpstream(): Promise<CloudUpstream> {
  const rules: { part: string; answer: (request: CloudRequest, response: ServerResponse) => void }[] = [];
  let requests: CloudRequest[] = [];
  const server = createServer((incoming, response) => {
    const parts: Buffer[] = [];
    incoming.on("data", (part: Buffer) => parts.push(part));
    incoming.on("end", () => {
      const text = Buffer.concat(parts).toString("utf8");
      const request = {
        url: incoming.url ?? "",
        headers: incoming.headers,
        text,
        body: text.startsWith("{") ? JSON.parse(text) : {},
      };
      requests.push(request);
      const rule = rules.findLast(({ part }) => request.url.includes(part));
      if (rule === undefined) response.writeHead(404).end();
      else rule.answer(request, response);
    });
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    taken: () => {
      const list = requests;
      requests = [];
      return list;
    },
    on: (part, answer) => rules.push({ part, answer }),
    close: () =>
      new Promise((done) => {
        server.close(() => done());
        server.closeAllConnections();
      }),
  };
}

export function json(response: ServerResponse, status: number, value: unknown): void {
  response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(value));
}
