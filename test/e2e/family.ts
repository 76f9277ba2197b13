/** What every family of upstreams must give to every client, as one table of scenarios. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { WireId } from "../../src/dialects/dialect.js";
import type { UsageEvent } from "../../src/usage/event.js";
import { type FakeUpstream, startFakeUpstream } from "../fake-upstream/fake-upstream.js";
import { FAILURE, loopPrompt, resultOf } from "../fake-upstream/vendor-talk.js";
import { startVendorUpstream, type VendorUpstream, type VendorWire } from "../fake-upstream/vendor-upstream.js";
import { call, eventOf, lastRequest } from "./calls.js";
import { CLIENTS, type ClientKind, type Reply, type Setting, type Talk } from "./family-clients.js";
import { KEY, type RunningGateway, sha256, startGateway } from "./gateway.js";
import { failureOf } from "./hub-gateway.js";

export interface Family {
  readonly target: WireId;
  readonly wire: VendorWire;
  /** The vendor's name of the model. */
  readonly upstreamModel: string;
  /** The provider key for an upstream at this address. */
  providerKey(url: string): Record<string, unknown> & { readonly provider: string };
  /** What is lost, turn by turn, where no thought and no signature comes back. */
  readonly lostWithout: readonly string[];
  /** Where callers of chat are served in their own words, so that they do not meet the wire; null = nowhere. */
  readonly chatPath: string | null;
  /** The vendor's own client, at the upstream itself: the judge of the upstream. */
  vendor(url: string, streamed: boolean, wantsTools: boolean): Talk;
}

const MODEL = "the-model";
const STRAIGHT = "straight-model";

interface Stage {
  readonly gateway: RunningGateway;
  readonly upstream: VendorUpstream;
  /** Stands for the vendor's endpoints in other dialects. */
  readonly compatible: FakeUpstream;
}

/** A conversation with the gateway, and the names of its answers. */
interface Followed extends Talk {
  readonly ids: string[];
  readonly losses: string[];
}

function follow(client: ClientKind, { gateway }: Stage, more: Pick<Setting, "streamed" | "wants">): Followed {
  const ids: string[] = [];
  const losses: string[] = [];
  const followed: typeof fetch = async (input, init) => {
    const response = await fetch(input, init);
    ids.push(response.headers.get("x-weir-request-id") ?? "");
    losses.push(response.headers.get("x-weir-losses") ?? "");
    return response;
  };
  const talk = client.open({ url: gateway.url, model: MODEL, fetch: followed, ...more });
  return { ...talk, ids, losses };
}

/** What was dealt is what the client was told. */
function expectTold(reply: Reply, upstream: VendorUpstream): void {
  const dealt = upstream.requests().at(-1)?.dealt;
  if (dealt === null || dealt === undefined) throw new Error("nothing was dealt");
  expect(reply.usage).toEqual({ input: dealt.input, output: dealt.output, cached: dealt.cacheRead });
}

/** What was dealt is what was recorded, request by request. */
async function expectRecorded({ gateway, upstream }: Stage, ids: readonly string[]): Promise<UsageEvent[]> {
  const events: UsageEvent[] = [];
  for (const [index, id] of ids.entries()) {
    const event = await eventOf(gateway, id);
    const dealt = upstream.requests()[index]?.dealt;
    expect(event).toMatchObject({
      input_tokens: dealt?.input,
      output_tokens: dealt?.output,
      cache_read_tokens: dealt?.cacheRead,
      cache_write_tokens: dealt?.cacheWrite,
      reasoning_tokens: dealt?.reasoning,
      status: 200,
      error: "",
      estimated: false,
      complete: true,
    });
    events.push(event);
  }
  return events;
}

/**
 * The loop of tools to its end: a call without arguments, two calls at once, the answer. Callers' tools end in an
 * order of their own; `inOrder` = they do not.
 */
async function loop(talk: Talk, prompt: string, told: (reply: Reply) => void, inOrder = false): Promise<void> {
  const wanted = [[["now", {}]], [...["Vienna", "Rome"].map((city) => ["weather", { city }])], []];
  const ids = new Set<string>();
  let reply = await talk.ask({ prompt });
  for (const calls of wanted) {
    told(reply);
    expect(reply.calls.map(({ name, args }) => [name, args])).toEqual(calls);
    for (const { id } of reply.calls) ids.add(id);
    if (calls.length === 0) break;
    const results = reply.calls.map((called) => ({ ...called, said: resultOf(called.name, called.args) }));
    reply = await talk.answer(inOrder ? results : results.reverse());
  }
  expect(reply.text).toBe("It is noon; Vienna 21, Rome 21.");
  expect(ids.size).toBe(3);
}

function describeVendor(family: Family, stage: () => Stage): void {
  describe("the vendor's own client, at the upstream itself", () => {
    test.each([false, true])("a loop of tools, streamed: %s", async (streamed) => {
      const { upstream } = stage();
      const talk = family.vendor(upstream.url, streamed, true);
      await loop(talk, "Loop.", (reply) => expectTold(reply, upstream), true);
      expect((await talk.ask({ prompt: "Thanks." })).text).toBe("You are welcome.");
    });

    test.each([false, true])("failures are its own errors, streamed: %s", async (streamed) => {
      const ask = (prompt: string) => failureOf(family.vendor(stage().upstream.url, streamed, false).ask({ prompt }));
      expect(String(await ask("Fail 400."))).toContain(FAILURE);
      expect(String(await ask("Say nothing."))).toContain("nobody knows the scene");
      if (streamed) expect(await ask("Cut.")).toBeInstanceOf(Error);
    });
  });
}

const OF_THOUGHTS = /^(?:thinking|reasoning|thought_signature|thinking_signature|tool_call_signature)$/;

/** What is told to be lost of the thoughts in each turn: what cannot come back, and what follows from that. */
function lostBy({ keeps }: ClientKind, { lostWithout }: Family): string[][] {
  const lost = keeps === "everything" ? ["", "", "", ""] : lostWithout;
  return lost.map((name) => (name === "" ? [] : [name]));
}

function describeAnswers(client: ClientKind, streamed: boolean, family: Family, stage: () => Stage): void {
  test("text, with the system's words before it and the usage behind it", async () => {
    const talk = follow(client, stage(), { streamed });
    const reply = await talk.ask({ prompt: "Say hello.", system: "Be brief." });
    expect(reply).toMatchObject({ text: "Grüß Gott, hello there, 世界.", calls: [] });
    expectTold(reply, stage().upstream);
    expect(talk.losses).toEqual([""]);
    const [event] = await expectRecorded(stage(), talk.ids);
    expect(event).toMatchObject({ client_dialect: client.dialect, target_dialect: family.target, streamed });
    expect(event).toMatchObject({ upstream_model: family.upstreamModel, losses: [] });
  });

  test("a loop of tools over three turns and one more, thoughts and signatures intact", async () => {
    const { upstream } = stage();
    const talk = follow(client, stage(), { streamed, wants: "tools" });
    await loop(talk, loopPrompt("Loop", client.keeps), (reply) => expectTold(reply, upstream));
    expect((await talk.ask({ prompt: loopPrompt("Thanks", client.keeps) })).text).toBe("You are welcome.");
    expect(upstream.requests()).toHaveLength(4);
    const lost = talk.losses.map((losses) => losses.split(",").filter((name) => OF_THOUGHTS.test(name)));
    expect(lost).toEqual(lostBy(client, family));
    await expectRecorded(stage(), talk.ids);
  });

  test("an image", async () => {
    const talk = follow(client, stage(), { streamed });
    expect((await talk.ask({ prompt: "Look.", image: true })).text).toBe("A small square.");
    expect(talk.losses).toEqual([""]);
  });

  test("an answer in a form of the caller's", async () => {
    const talk = follow(client, stage(), { streamed, wants: "form" });
    const reply = await talk.ask({ prompt: "Where?" });
    expect(JSON.parse(reply.text)).toEqual({ city: "Vienna" });
    expect(reply.calls).toEqual([]);
    expectTold(reply, stage().upstream);
  });
}

function describeFailures(client: ClientKind, streamed: boolean, stage: () => Stage): void {
  test.each([400, 429])("the upstream's %i is the client's own error", async (status) => {
    const talk = follow(client, stage(), { streamed });
    const failed = client.failed(await failureOf(talk.ask({ prompt: `Fail ${status}.` })));
    expect(failed).toMatchObject({ status, message: expect.stringContaining(FAILURE) });
    expect(failed?.kind).toBe(client.errors[status]);
    if (status === 429) expect(failed?.retryAfter).toBe("7");
    const event = await eventOf(stage().gateway, talk.ids[0]);
    expect(event).toMatchObject({ status, upstream_status: status, error: "upstream_error", complete: true });
  });

  const BREAKS = streamed ? (["Break.", "Cut."] as const) : [];
  test.each(BREAKS)("an answer that breaks off is an error, not a short answer: %s", async (prompt) => {
    const talk = follow(client, stage(), { streamed });
    const failed = client.failed(await failureOf(talk.ask({ prompt })));
    expect(failed).not.toBeNull();
    if (prompt === "Break.") expect(failed?.message).toContain(FAILURE);
    const event = await eventOf(stage().gateway, talk.ids[0]);
    expect(event).toMatchObject({ upstream_status: 200, complete: false });
    expect(event.error).not.toBe("");
  });
}

/** The vendor's own endpoint in the caller's dialect takes the caller's bytes, proofs of the vendor's included. */
function describeChat(path: string, stage: () => Stage): void {
  test("callers of chat reach the vendor's own chat endpoint, with the bytes that they sent", async () => {
    const { gateway, compatible } = stage();
    const bytes = (model: string) => {
      const proof = '"extra_content":{"google": {"thought_signature":"c2ln"}}';
      const made = `{"id":"c1","type":"function","function":{"name":"now","arguments":"{}"},${proof}}`;
      const turns = `{"role":"assistant","content":null,"tool_calls":[${made}]},{"role":"tool","tool_call_id":"c1","content":"noon"}`;
      return `{"model":"${model}", "temperature": 1.0,"messages":[{"role":"user","content":"Hi"},${turns}]}`;
    };
    const { status } = await call(`${gateway.url}/v1/chat/completions`, { body: bytes(STRAIGHT) });
    expect(status).toBe(200);
    const asked = lastRequest(compatible);
    expect(asked.path).toBe(path);
    expect(asked.body.toString("utf8")).toBe(bytes(STRAIGHT));
  });
}

/** Every client with every scenario on one family of upstreams. */
export function describeFamily(family: Family): void {
  let staged: Stage | undefined;
  const stage = (): Stage => {
    if (staged === undefined) throw new Error("nothing was started");
    return staged;
  };
  beforeAll(async () => {
    const upstream = await startVendorUpstream(family.wire);
    const compatible = await startFakeUpstream();
    const providerKey = family.providerKey(upstream.url);
    const { provider } = providerKey;
    const resources = {
      _format_version: "1",
      provider_keys: [
        { name: "main", ...providerKey },
        { name: "compatible", ...family.providerKey(compatible.url) },
      ],
      models: [
        { name: MODEL, provider, model_name: family.upstreamModel, provider_key: "main" },
        { name: STRAIGHT, provider, model_name: STRAIGHT, provider_key: "compatible" },
      ],
      api_keys: [{ name: "tester", key_hash: sha256(KEY), allowed_models: ["*"] }],
    };
    staged = { upstream, compatible, gateway: await startGateway({ resources }) };
  });
  afterAll(async () => {
    await staged?.gateway.dispose();
    await staged?.upstream.close();
    await staged?.compatible.close();
  });
  beforeEach(() => stage().upstream.reset());

  describeVendor(family, stage);
  if (family.chatPath !== null) describeChat(family.chatPath, stage);
  const met = CLIENTS.filter(({ dialect }) => family.chatPath === null || dialect !== "openai-chat");
  describe.each(met)("$name", (client) => {
    describe.each([false, true])("streamed: %s", (streamed) => {
      describeAnswers(client, streamed, family, stage);
      describeFailures(client, streamed, stage);
    });
  });
}
