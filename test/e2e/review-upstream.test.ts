/** Streams that an upstream ends in the middle of an event, in every way that HTTP has. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { oneProvider, type RunningGateway, startGateway } from "./gateway.js";
import { ask, chat, type HandUpstream, startHandUpstream } from "./wire.js";

const WHOLE = 'data: {"id":"x","choices":[{"index":0,"delta":{"content":"hello"}}]}\n\n';
const HALF = 'data: {"id":"x","choices":[{"index":0,"delta":{"cont';
let ending: "end" | "reset" = "end";
let sent = "";
let upstream: HandUpstream;
let gateway: RunningGateway;

beforeAll(async () => {
  upstream = await startHandUpstream((response) => {
    response.writeHead(200, { "content-type": "text/event-stream" });
    response.write(sent, () => {
      if (ending === "end") response.end();
      else response.destroy();
    });
  });
  gateway = await startGateway({
    config: { limits: { event_bytes: 1024 } },
    resources: oneProvider(upstream.url),
  });
});

afterAll(async () => {
  await gateway?.dispose();
  await upstream?.close();
});

/** The events of a stream, as a reader of the standard takes them: what stands between blank lines. */
function events(text: string): string[] {
  return text.split("\n\n").filter((event) => event !== "");
}

describe.each(["end", "reset"] as const)("a stream that breaks off in an event (%s)", (how) => {
  it("ends with an error event of its own", async () => {
    ending = how;
    sent = WHOLE + HALF;
    const answer = await ask(gateway.url, chat({}, { stream: true }));
    expect(answer.status).toBe(200);
    const all = events(answer.text);
    expect(all[0]).toBe(WHOLE.trim());
    const last = JSON.parse((all.at(-1) ?? "").replace(/^data: /, ""));
    expect(last.error.type).toBe("transport_error");
    expect(answer.text).not.toContain("[DONE]");
  });

  it("keeps the error event apart from an event too long to be held back", async () => {
    ending = how;
    sent = `${WHOLE}data: {"id":"x","choices":[{"index":0,"delta":{"content":"${"long ".repeat(2_000)}`;
    const answer = await ask(gateway.url, chat({}, { stream: true }));
    const last = JSON.parse((events(answer.text).at(-1) ?? "").replace(/^data: /, ""));
    expect(last.error.type).toBe("transport_error");
  });
});

describe("a stream whose terminator lacks its blank line", () => {
  it("is whole", async () => {
    ending = "end";
    sent = `${WHOLE}data: {"id":"x","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]`;
    const answer = await ask(gateway.url, chat({}, { stream: true }));
    expect(answer.text).toContain("[DONE]");
    expect(answer.text).not.toContain("transport_error");
  });
});
