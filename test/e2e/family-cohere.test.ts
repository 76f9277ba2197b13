/** Cohere's own chat, behind every client whose dialect the vendor does not speak itself. */
import type { Cohere, CohereClientV2 } from "cohere-ai";
import { COHERE, MODEL, vendorClient } from "../fake-upstream/vendor-cohere.js";
import { CITY } from "../fake-upstream/vendor-talk.js";
import { describeFamily } from "./family.js";
import type { Reply, Talk } from "./family-clients.js";

const TOOLS: Pick<Cohere.V2ChatRequest, "tools" | "thinking"> = {
  tools: [
    { type: "function", function: { name: "now", parameters: { type: "object", properties: {} } } },
    { type: "function", function: { name: "weather", parameters: { ...CITY } } },
  ],
  thinking: { type: "enabled" },
};

type Message = Cohere.AssistantMessageResponse;
type Content = NonNullable<Message["content"]>[number];

interface Answer {
  readonly message: Message;
  readonly usage: Cohere.Usage | undefined;
}

/** A stream's messages, put together. */
async function streamedAnswer(client: CohereClientV2, request: Cohere.V2ChatStreamRequest): Promise<Answer> {
  let plan = "";
  const contents: { type: string; said: string }[] = [];
  const calls: { id: string; name: string; written: string }[] = [];
  let usage: Cohere.Usage | undefined;
  for await (const event of await client.chatStream(request)) {
    if (event.type === "tool-plan-delta") plan += event.delta?.message?.toolPlan ?? "";
    if (event.type === "content-start") {
      contents[event.index ?? 0] = { type: event.delta?.message?.content?.type ?? "", said: "" };
    }
    if (event.type === "content-delta") {
      const { text, thinking } = event.delta?.message?.content ?? {};
      const content = contents[event.index ?? 0];
      if (content !== undefined) content.said += text ?? thinking ?? "";
    }
    if (event.type === "tool-call-start") {
      const { id = "", function: called } = event.delta?.message?.toolCalls ?? {};
      calls[event.index ?? 0] = { id, name: called?.name ?? "", written: called?.arguments ?? "" };
    }
    if (event.type === "tool-call-delta") {
      const call = calls[event.index ?? 0];
      if (call !== undefined) call.written += event.delta?.message?.toolCalls?.function?.arguments ?? "";
    }
    if (event.type !== "message-end") continue;
    if (event.delta?.error !== undefined) throw new Error(event.delta.error);
    usage = event.delta?.usage;
  }
  if (usage === undefined) throw new Error("the stream has no end");
  const message: Message = { role: "assistant" };
  if (plan !== "") message.toolPlan = plan;
  if (contents.length > 0) {
    message.content = contents.map(({ type, said }): Content => {
      return type === "text" ? { type, text: said } : { type: "thinking", thinking: said };
    });
  }
  if (calls.length > 0) {
    message.toolCalls = calls.map(({ id, name, written }) => {
      return { id, type: "function", function: { name, arguments: written } };
    });
  }
  return { message, usage };
}

function vendorTalk(client: CohereClientV2, streamed: boolean, wantsTools: boolean): Talk {
  const messages: Cohere.ChatMessageV2[] = [];
  const next = async (): Promise<Reply> => {
    const request = { model: MODEL, messages, ...(wantsTools ? TOOLS : {}) };
    const { message, usage } = streamed ? await streamedAnswer(client, request) : await client.chat(request);
    messages.push(message);
    const texts = (message.content ?? []).map((content) => (content.type === "text" ? content.text : ""));
    return {
      text: texts.join(""),
      calls: (message.toolCalls ?? []).map(({ id, function: called }) => {
        return { id, name: called?.name ?? "", args: JSON.parse(called?.arguments ?? "{}") };
      }),
      usage: {
        input: usage?.tokens?.inputTokens ?? -1,
        output: usage?.tokens?.outputTokens ?? -1,
        cached: usage?.cachedTokens ?? 0,
      },
    };
  };
  return {
    ask: ({ prompt }) => {
      messages.push({ role: "user", content: prompt });
      return next();
    },
    answer: (results) => {
      for (const { id, said } of results) messages.push({ role: "tool", toolCallId: id, content: said });
      return next();
    },
  };
}

describeFamily({
  target: "cohere-chat",
  wire: COHERE,
  upstreamModel: MODEL,
  providerKey: (url) => ({ provider: "cohere", api_base: url, api_key: "cohere-key" }),
  lostWithout: [],
  chatPath: "/compatibility/v1/chat/completions",
  vendor: (url, streamed, wantsTools) => vendorTalk(vendorClient(url), streamed, wantsTools),
});
