/** The tokenize dialect, as vLLM has it: text in, its tokens out. Nothing is streamed and no usage arises. */
import { type Failure, failure, isFailure } from "../../errors.js";
import type { AnswerObserver, Dialect, RequestView } from "../dialect.js";
import { scanTopLevel } from "../json-scan.js";
import { asObject, parseJson } from "../json-values.js";
import { renderOpenAiError, renderOpenAiStreamError } from "../openai-envelope.js";
import { readFields, spliceFields } from "../request-fields.js";
import { requestTextOf } from "../text.js";
import { TOKENIZE_DEFINITIONS, TOKENIZE_REQUEST, TOKENIZE_TEXT, TYPED_KEYS } from "./wire.js";

const QUOTE = 0x22;
const OPEN_BRACKET = 0x5b;
const NULL = 0x6e;

const NOTHING_TO_LEARN: AnswerObserver = { feed() {}, finish() {} };

function readRequest(body: Buffer, modelOverride: string | null): RequestView | Failure {
  const view = readFields(body, TOKENIZE_REQUEST, modelOverride);
  if (isFailure(view)) return view;
  const [prompt = -1, messages = -1] = scanTopLevel(body, TYPED_KEYS).starts;
  if (prompt >= 0 && body[prompt] !== QUOTE && body[prompt] !== NULL) {
    return failure("invalid_request_error", "prompt must be a string.", "prompt");
  }
  if (messages >= 0 && body[messages] !== OPEN_BRACKET && body[messages] !== NULL) {
    return failure("invalid_request_error", "messages must be an array.", "messages");
  }
  return view;
}

/** The prompt to the last character, or the text of the messages. */
function requestText(body: Buffer): string {
  const prompt = asObject(parseJson(body))?.prompt;
  return typeof prompt === "string" ? prompt : requestTextOf(body, TOKENIZE_TEXT, TOKENIZE_DEFINITIONS);
}

export const tokenize: Dialect = {
  id: "tokenize",
  readRequest: (body, _operation, modelOverride) => readRequest(body, modelOverride),
  spliceRequest: spliceFields,
  streamObserver: () => {
    throw new Error("tokenize has no streams");
  },
  answerObserver: () => NOTHING_TO_LEARN,
  renderError: renderOpenAiError,
  renderStreamError: renderOpenAiStreamError,
  requestText,
  answerText: () => "",
};
