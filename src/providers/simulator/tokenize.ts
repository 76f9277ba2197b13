/** The simulator on POST /tokenize. Shape: `TokenizeResponse` of the server that has the endpoint. */
import { FrameList } from "./frames.js";
import { type JsonObject, listOf, stringOf } from "./json.js";
import { AUTO, countTokens, HIGHEST, type Prompt, readKnobs, textOf } from "./prompt.js";

/** Reads a tokenize request: a prompt, or messages. */
export function readTokenize(body: JsonObject): Prompt {
  const text = typeof body.prompt === "string" ? body.prompt : textsOf(body.messages);
  return {
    model: stringOf(body.model),
    stream: false,
    body,
    userText: text,
    toolResult: null,
    inputTokens: countTokens(text),
    tools: [],
    toolChoice: AUTO,
    maxOutputTokens: 0,
    choices: 1,
    usageAsked: false,
    schema: null,
    knobs: readKnobs(body.metadata),
  };
}

function textsOf(messages: unknown): string {
  return listOf(messages).map(textOf).join("\n");
}

/** Every four characters are a token, as in all the simulator's counts. */
export function answerTokenize({ userText, body }: Prompt): FrameList {
  const pieces = userText.match(/[\s\S]{1,4}/g) ?? [];
  const token_strs = body.return_token_strs === true ? pieces : null;
  const tokens = pieces.map(numberOf);
  return FrameList.whole({ count: pieces.length, max_model_len: HIGHEST.tokens, tokens, token_strs }, 0);
}

/** The same piece has the same number. */
function numberOf(piece: string): number {
  let number = 0;
  for (let at = 0; at < piece.length; at++) number = (Math.imul(number, 31) + piece.charCodeAt(at)) >>> 0;
  return number % HIGHEST.tokens;
}
