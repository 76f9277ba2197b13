/** Claude on Bedrock by Converse: signed requests, event-stream frames, signed and hidden thoughts. */
import { Readable } from "node:stream";
import {
  BedrockRuntimeClient,
  type ContentBlock,
  type ContentBlockDelta,
  ConverseCommand,
  type ConverseCommandInput,
  ConverseStreamCommand,
  type Message,
  type TokenUsage,
} from "@aws-sdk/client-bedrock-runtime";
import { CONVERSE, MODEL } from "../fake-upstream/vendor-converse.js";
import { CITY } from "../fake-upstream/vendor-talk.js";
import { describeFamily } from "./family.js";
import type { Reply, Talk } from "./family-clients.js";

const ACCOUNT = { accessKeyId: "AKIDEXAMPLE", secretAccessKey: "aws-very-secret-key" };

const TOOLS: Partial<ConverseCommandInput> = {
  toolConfig: {
    tools: [
      { toolSpec: { name: "now", inputSchema: { json: { type: "object" } } } },
      { toolSpec: { name: "weather", inputSchema: { json: JSON.parse(JSON.stringify(CITY)) } } },
    ],
  },
  inferenceConfig: { maxTokens: 4000 },
  additionalModelRequestFields: { thinking: { type: "enabled", budget_tokens: 2048 } },
};

interface SentRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: Record<string, string>;
  readonly body: string;
}

/** The vendor's own client; it would speak HTTP/2 on its own, which the upstream does not. */
function clientAt(url: string): BedrockRuntimeClient {
  const requestHandler = {
    handle: async ({ method, path, headers, body }: SentRequest) => {
      const answer = await fetch(url + path, { method, headers, body });
      const said = answer.body === null ? Readable.from([]) : Readable.fromWeb(answer.body as never);
      return { response: { statusCode: answer.status, headers: Object.fromEntries(answer.headers), body: said } };
    },
  };
  const options = { region: "us-west-2", credentials: ACCOUNT, maxAttempts: 1 };
  return new BedrockRuntimeClient({ ...options, requestHandler: requestHandler as never });
}

// ---- a stream, put together ------------------------------------------------------------------------

interface Draft {
  kind: "text" | "call" | "thought" | "hidden";
  text: string;
  id: string;
  name: string;
  signature: string;
  hidden: Uint8Array;
}

function addDelta(draft: Draft, { text, toolUse, reasoningContent: thought }: ContentBlockDelta): void {
  draft.text += text ?? toolUse?.input ?? thought?.text ?? "";
  draft.signature += thought?.signature ?? "";
  if (thought !== undefined) draft.kind = "thought";
  if (thought?.redactedContent === undefined) return;
  draft.kind = "hidden";
  draft.hidden = thought.redactedContent;
}

function blockOf({ kind, text, id, name, signature, hidden }: Draft): ContentBlock {
  if (kind === "text") return { text };
  if (kind === "call") return { toolUse: { toolUseId: id, name, input: JSON.parse(text || "{}") } };
  if (kind === "hidden") return { reasoningContent: { redactedContent: hidden } };
  return { reasoningContent: { reasoningText: { text, signature } } };
}

interface Answer {
  readonly message: Message;
  readonly usage: TokenUsage | undefined;
}

async function streamedAnswer(client: BedrockRuntimeClient, input: ConverseCommandInput): Promise<Answer> {
  const { stream } = await client.send(new ConverseStreamCommand(input));
  const drafts: Draft[] = [];
  let usage: TokenUsage | undefined;
  for await (const { contentBlockStart: start, contentBlockDelta: more, metadata } of stream ?? []) {
    const index = start?.contentBlockIndex ?? more?.contentBlockIndex ?? 0;
    const { toolUseId: id = "", name = "" } = start?.start?.toolUse ?? {};
    const kind = id === "" ? "text" : "call";
    if (start ?? more) drafts[index] ??= { kind, text: "", id, name, signature: "", hidden: new Uint8Array() };
    const draft = drafts[index];
    if (more?.delta !== undefined && draft !== undefined) addDelta(draft, more.delta);
    usage = metadata?.usage ?? usage;
  }
  return { message: { role: "assistant", content: drafts.map(blockOf) }, usage };
}

async function wholeAnswer(client: BedrockRuntimeClient, input: ConverseCommandInput): Promise<Answer> {
  const { output, usage } = await client.send(new ConverseCommand(input));
  return { message: output?.message ?? { role: "assistant", content: [] }, usage };
}

function vendorTalk(client: BedrockRuntimeClient, streamed: boolean, wantsTools: boolean): Talk {
  const messages: Message[] = [];
  const next = async (): Promise<Reply> => {
    const input: ConverseCommandInput = { modelId: MODEL, messages, ...(wantsTools ? TOOLS : {}) };
    const { message, usage } = await (streamed ? streamedAnswer(client, input) : wholeAnswer(client, input));
    messages.push(message);
    const content = message.content ?? [];
    const cached = usage?.cacheReadInputTokens ?? 0;
    const calls = content.flatMap(({ toolUse }) => (toolUse === undefined ? [] : [toolUse]));
    return {
      text: content.map((block) => block.text ?? "").join(""),
      calls: calls.map(({ toolUseId: id = "", name = "", input: args }) => ({ id, name, args: args as never })),
      usage: {
        input: (usage?.inputTokens ?? -1) + cached + (usage?.cacheWriteInputTokens ?? 0),
        output: usage?.outputTokens ?? -1,
        cached,
      },
    };
  };
  return {
    ask: ({ prompt }) => {
      messages.push({ role: "user", content: [{ text: prompt }] });
      return next();
    },
    answer: (results) => {
      const content = results.map(({ id, said }) => ({ toolResult: { toolUseId: id, content: [{ text: said }] } }));
      messages.push({ role: "user", content });
      return next();
    },
  };
}

describeFamily({
  target: "bedrock-converse",
  wire: CONVERSE,
  upstreamModel: MODEL,
  providerKey: (url) => ({
    provider: "bedrock",
    api_base: url,
    region: "us-west-2",
    api_key: { access_key_id: ACCOUNT.accessKeyId, secret_access_key: ACCOUNT.secretAccessKey },
  }),
  lostWithout: ["", "reasoning", "reasoning", ""],
  chatPath: null,
  vendor: (url, streamed, wantsTools) => vendorTalk(clientAt(url), streamed, wantsTools),
});
