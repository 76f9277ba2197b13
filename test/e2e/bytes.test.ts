/**
 * The client's bytes are the truth: whatever legal JSON a body is spelled in reaches the upstream byte for
 * byte but for the splices, and the answer comes back byte for byte but for the chunk nobody asked for.
 */
import fc from "fast-check";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { type FakeUpstream, startFakeUpstream } from "../fake-upstream/fake-upstream.js";
import { oneProvider, type RunningGateway, startGateway } from "./gateway.js";
import { blanks, type Member, objectText, spellings, stringText, unknownMember, valueText } from "./json-spelling.js";
import { Client, ENDPOINTS, type Endpoint, STREAMING } from "./traffic.js";

const RUNS = 100;
let upstream: FakeUpstream;
let gateway: RunningGateway;
let client: Client;

beforeAll(async () => {
  upstream = await startFakeUpstream();
  gateway = await startGateway({
    config: { acceptors: 1, log: { access: false } },
    resources: withAliases(oneProvider(upstream.url)),
  });
  client = new Client(gateway.url);
});

afterAll(async () => {
  client?.close();
  await gateway?.dispose();
  await upstream?.close();
});

beforeEach(() => upstream.reset());

/** Names that stay, one that becomes shorter and one that needs escapes at the upstream. */
function withAliases(resources: Record<string, unknown>): Record<string, unknown> {
  const models = resources.models as Record<string, string>[];
  for (const [provider, key] of [
    ["openai", "openai-main"],
    ["anthropic", "anthropic-main"],
  ] as const) {
    models.push({ display_name: `${provider} long "alias"`, provider, model_name: "m", provider_key: key });
    models.push({ display_name: `${provider}-odd`, provider, model_name: 'quo"ted/水', provider_key: key });
  }
  return resources;
}

interface ModelName {
  readonly asked: string;
  readonly upstream: string;
}

function modelsOf(endpoint: Endpoint): ModelName[] {
  const provider = endpoint.model.startsWith("claude") ? "anthropic" : "openai";
  return [
    { asked: endpoint.model, upstream: endpoint.model },
    { asked: `${provider} long "alias"`, upstream: "m" },
    { asked: `${provider}-odd`, upstream: 'quo"ted/水' },
  ];
}

interface SpelledRequest {
  readonly body: string;
  /** What the upstream must get; `added`: with one of these texts somewhere in it besides. */
  readonly expected: string;
  readonly added: readonly string[];
}

const ASKED = '"include_usage":true';
const WHOLE_FIELD = [`"stream_options":{${ASKED}},`, `,"stream_options":{${ASKED}}`];
const IN_OPTIONS = [`${ASKED},`, `,${ASKED}`, ASKED];

interface StreamSpelling {
  readonly members: readonly (readonly [string, string, string])[];
  readonly added: readonly string[];
}

/** `stream` and `stream_options` as sent, and as the upstream must see them where usage comes on request only. */
const STREAMED: readonly StreamSpelling[] = [
  { members: [["stream", "true", "true"]], added: WHOLE_FIELD },
  {
    members: [
      ["stream", "true", "true"],
      ["stream_options", "null", `{${ASKED}}`],
    ],
    added: [],
  },
  {
    members: [
      ["stream", "true", "true"],
      ["stream_options", "{ }", "{ }"],
    ],
    added: IN_OPTIONS,
  },
  {
    members: [
      ["stream", "true", "true"],
      ["stream_options", '{"x":1.0 ,"y":{}}', '{"x":1.0 ,"y":{}}'],
    ],
    added: IN_OPTIONS,
  },
  {
    members: [
      ["stream", "true", "true"],
      ["stream_options", '{"a":1, "include_usage" : false }', '{"a":1, "include_usage" : true }'],
    ],
    added: [],
  },
  {
    members: [
      ["stream", "true", "true"],
      ["stream_options", '{"include_usage": true}', '{"include_usage": true}'],
    ],
    added: [],
  },
];
const WHOLE: readonly StreamSpelling[] = [
  { members: [], added: [] },
  { members: [["stream", "false", "false"]], added: [] },
  { members: [["stream", "null", "null"]], added: [] },
  {
    members: [
      ["stream", "false", "false"],
      ["stream_options", "null", "null"],
    ],
    added: [],
  },
];

function streamSpellings(endpoint: Endpoint): readonly StreamSpelling[] {
  if (!endpoint.streams) return [{ members: [], added: [] }];
  if (endpoint.operation === "chat" || endpoint.operation === "completions") return [...STREAMED, ...WHOLE];
  return [
    { members: [], added: [] },
    { members: [["stream", "true", "true"]], added: [] },
  ];
}

function requests(endpoint: Endpoint): fc.Arbitrary<SpelledRequest> {
  const [field] = endpoint.required;
  const required = fc.array(valueText, { maxLength: 3 }).map((items) => `[${items.join(" ,")}]`);
  const models = fc
    .constantFrom(...modelsOf(endpoint))
    .chain((name) => spellings(name.asked).map((spelled) => ({ ...name, spelled })));
  return fc
    .record({
      model: models,
      keys: fc.record({ model: spellings("model"), required: spellings(field) }),
      required,
      stream: fc.constantFrom(...streamSpellings(endpoint)),
      unknown: fc.array(unknownMember, { maxLength: 5 }),
      space: fc.array(blanks, { minLength: 8, maxLength: 8 }),
      around: blanks,
      order: fc.infiniteStream(fc.nat()),
    })
    .map(({ model, keys, required: value, stream, unknown, space, around, order }) => {
      const same = model.asked === model.upstream;
      const parts: [Member, Member][] = [];
      const add = (key: string, before: string, after: string): void => {
        const around = space[parts.length % space.length] ?? ["", "", "", ""];
        parts.push([
          { key, value: before, blanks: around },
          { key, value: after, blanks: around },
        ]);
      };
      add(keys.model, model.spelled, same ? model.spelled : JSON.stringify(model.upstream));
      add(keys.required, value, value);
      for (const [key, before, after] of stream.members) add(`"${key}"`, before, after);
      for (const member of unknown) parts.push([member, member]);
      const shuffled = parts
        .map((part) => ({ part, place: order.next().value ?? 0 }))
        .sort((a, b) => a.place - b.place);
      const write = (side: 0 | 1): string =>
        around[0] + around[1] + objectText(shuffled.map(({ part }) => part[side])) + around[2] + around[3];
      return { body: write(0), expected: write(1), added: stream.added };
    });
}

/** Is `got` the expected text, with exactly one of the additions in it where there are any? */
function differsBySplice(got: string, { expected, added }: SpelledRequest): boolean {
  if (added.length === 0) return got === expected;
  for (const text of added) {
    for (let at = got.indexOf(text); at >= 0; at = got.indexOf(text, at + 1)) {
      if (got.slice(0, at) + got.slice(at + text.length) === expected) return JSON.parse(got) !== null;
    }
  }
  return false;
}

const usageText: Partial<Record<Endpoint["operation"], string>> = {
  messages: '{"input_tokens":7,"output_tokens": 9}',
  responses: '{"input_tokens":7,"output_tokens": 9}',
};

/** A whole answer of unknown members and the usage, spelled as it comes. */
function answers(endpoint: Endpoint): fc.Arbitrary<string> {
  const usage = usageText[endpoint.operation] ?? '{"prompt_tokens":7 ,"completion_tokens":9}';
  const said: Member = { key: '"usage"', value: usage, blanks: ["\n", " ", "", " "] };
  return fc
    .record({ before: fc.array(unknownMember, { maxLength: 4 }), after: fc.array(unknownMember, { maxLength: 4 }) })
    .map(({ before, after }) => `${objectText([...before, said, ...after])}\n`);
}

describe("requests and whole answers", () => {
  for (const endpoint of Object.values(ENDPOINTS)) {
    it(`${endpoint.operation} pass byte for byte`, async () => {
      const chunk = fc.integer({ min: 1, max: 400 });
      await fc.assert(
        fc.asyncProperty(requests(endpoint), answers(endpoint), chunk, async (request, answer, size) => {
          upstream.script({ body: answer, chunking: { mode: "bytes", size }, chunked: size % 2 === 0 });
          const reply = await client.post(endpoint.path, request.body);
          expect(reply.body.toString("utf8")).toBe(answer);
          expect(reply.status).toBe(200);
          const got = upstream.requests().at(-1)?.body.toString("utf8") ?? "";
          if (!differsBySplice(got, request)) expect(got).toBe(request.expected);
        }),
        { numRuns: RUNS },
      );
    });
  }

  it("refusals of the upstream pass byte for byte, JSON or not", async () => {
    const refusal = fc.record({
      status: fc.constantFrom(400, 401, 403, 404, 409, 422, 429, 500, 503, 529),
      body: fc.oneof(valueText, fc.string({ unit: "binary" })),
      content_type: fc.constantFrom("application/json", "text/html; charset=utf-8", "text/plain"),
    });
    await fc.assert(
      fc.asyncProperty(refusal, fc.constantFrom(...Object.values(ENDPOINTS)), async (behaviour, endpoint) => {
        upstream.script({ ...behaviour, headers: { "retry-after": "17" } });
        const reply = await client.post(endpoint.path, { model: endpoint.model, [endpoint.required[0]]: ["text"] });
        expect(reply.status).toBe(behaviour.status);
        expect(reply.body.toString("utf8")).toBe(behaviour.body);
        expect(reply.headers["content-type"]).toBe(behaviour.content_type);
        expect(reply.headers["retry-after"]).toBe("17");
      }),
      { numRuns: RUNS },
    );
  });
});

const event = (name: string, data: string): string => `event: ${name}\ndata: ${data}\n\n`;

/** What ends a stream well, with the usage in it. */
const ENDS: Partial<Record<Endpoint["operation"], string>> = {
  messages:
    event(
      "message_delta",
      '{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"input_tokens":7,"output_tokens":9}}',
    ) + event("message_stop", '{"type":"message_stop"}'),
  responses: event(
    "response.completed",
    '{"type":"response.completed","response":{"id":"r","usage":{"input_tokens":7,"output_tokens":9}}}',
  ),
};
const CHUNK_END = 'data: {"choices":[{"index":0,"delta":{},"text":"","finish_reason":"stop"}]}\n\n';
const USAGE_CHUNK = 'data: {"id":"c","choices": [ ],"usage":{"prompt_tokens":7,"completion_tokens":9},"x":1.0}\n\n';
const DONE = "data: [DONE]\n\n";

/** Frames that a client must get as they are: unknown events, comments, odd spacing, text that looks like more. */
const frame = fc.oneof(
  fc
    .tuple(fc.constantFrom("data:", "data: "), fc.array(unknownMember, { minLength: 1, maxLength: 3 }))
    .map(([field, members]) => `${field}${objectText(members).replaceAll("\n", " ").replaceAll("\r", " ")}\n\n`),
  stringText.map((text) => `data: {"choices":[{"index":0,"delta":{"content":${text}},"text":${text}}]}\n\n`),
  stringText.map(
    (text) => `event: vendor.new_thing\nid: 7\nretry: 100\ndata: {"type":"vendor.new_thing","delta":${text}}\n\n`,
  ),
  fc.constantFrom(
    ": ping\n\n",
    ":\n\n",
    'event: ping\ndata: {"type": "ping"}\n\n',
    'data: {"usage":null,\ndata: "b":2}\n\n',
  ),
);

describe("streamed answers", () => {
  for (const endpoint of STREAMING) {
    const onRequest = endpoint.operation === "chat" || endpoint.operation === "completions";
    it(`${endpoint.operation} pass byte for byte${onRequest ? " but for the hidden usage chunk" : ""}`, async () => {
      const stream = fc.record({
        frames: fc.array(frame, { minLength: 1, maxLength: 12 }),
        asked: fc.boolean(),
        size: fc.integer({ min: 1, max: 300 }),
      });
      await fc.assert(
        fc.asyncProperty(stream, async ({ frames, asked, size }) => {
          const end = ENDS[endpoint.operation];
          const text = frames.join("") + (end ?? CHUNK_END + USAGE_CHUNK + DONE);
          const wanted = onRequest && !asked ? frames.join("") + CHUNK_END + DONE : text;
          const options = onRequest && asked ? { stream_options: { include_usage: true } } : {};
          upstream.script({
            body: text,
            content_type: "text/event-stream",
            chunked: true,
            chunking: { mode: "bytes", size },
          });
          const [field, value] = endpoint.required;
          const reply = await client.post(endpoint.path, {
            model: endpoint.model,
            [field]: value,
            stream: true,
            ...options,
          });
          expect(reply.body.toString("utf8")).toBe(wanted);
          expect(reply.whole).toBe(true);
        }),
        { numRuns: RUNS },
      );
    });
  }
});
