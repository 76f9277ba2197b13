/** The vendor's own client for Gemini, holding a conversation as its users do. */
import type { Content, GenerateContentConfig, GenerateContentResponse, GoogleGenAI, Part } from "@google/genai";
import { MODEL } from "../fake-upstream/vendor-gemini.js";
import { CITY } from "../fake-upstream/vendor-talk.js";
import type { Reply, Talk } from "./family-clients.js";

const CONFIG: GenerateContentConfig = {
  tools: [
    {
      functionDeclarations: [
        { name: "now", description: "Tells it." },
        { name: "weather", description: "Tells it.", parametersJsonSchema: CITY },
      ],
    },
  ],
  thinkingConfig: { includeThoughts: true },
};

function replyOf(parts: readonly Part[], last: GenerateContentResponse | undefined): Reply {
  const calls = parts.flatMap(({ functionCall }) => (functionCall === undefined ? [] : [functionCall]));
  const told = last?.usageMetadata;
  return {
    text: parts.map((part) => (part.thought === true ? "" : (part.text ?? ""))).join(""),
    // Where the service gives none, nobody needs one.
    calls: calls.map(({ id, name = "", args }) => ({
      id: id ?? JSON.stringify({ name, args }),
      name,
      args: (args ?? {}) as never,
    })),
    usage: {
      input: told?.promptTokenCount ?? -1,
      output: (told?.candidatesTokenCount ?? -1) + (told?.thoughtsTokenCount ?? 0),
      cached: told?.cachedContentTokenCount ?? 0,
    },
  };
}

export function vendorTalk(client: GoogleGenAI, streamed: boolean, wantsTools: boolean): Talk {
  const contents: Content[] = [];
  const next = async (): Promise<Reply> => {
    const request = { model: MODEL, contents, ...(wantsTools ? { config: CONFIG } : {}) };
    const parts: Part[] = [];
    let last: GenerateContentResponse | undefined;
    const chunks = streamed
      ? await client.models.generateContentStream(request)
      : [await client.models.generateContent(request)];
    for await (const chunk of chunks) {
      parts.push(...(chunk.candidates?.[0]?.content?.parts ?? []));
      last = chunk;
    }
    contents.push({ role: "model", parts });
    return replyOf(parts, last);
  };
  return {
    ask: ({ prompt }) => {
      contents.push({ role: "user", parts: [{ text: prompt }] });
      return next();
    },
    answer: (results) => {
      const asked = contents.at(-1)?.parts?.flatMap(({ functionCall }) => functionCall ?? []) ?? [];
      const parts = results.map(({ name, said }, index) => {
        const id = asked[index]?.id;
        return { functionResponse: { ...(id === undefined ? {} : { id }), name, response: { output: said } } };
      });
      contents.push({ role: "user", parts });
      return next();
    },
  };
}
