/**
 * A conversation in the caller's own dialect, as those parts of the gateway need it that hold one themselves: what
 * was said last, what an answer says, and the same conversation with one more turn. Works on parsed bodies.
 */
import type { DialectId } from "./dialect.js";
import type { JsonObject } from "./semantic.js";

interface ConversationForm {
  /** Text of the last thing that the user said; "" = none. */
  lastUserText(body: JsonObject): string;
  /** The body with one more turn of the user's; null where the body has no place for it. */
  withUserTurn(body: JsonObject, text: string): JsonObject | null;
  /** The body with an answer's beginning and the wish for its rest; null where it has no place for them. */
  continued(body: JsonObject, text: string): JsonObject | null;
  /** Text of a whole answer; "" = it says nothing. */
  answerText(answer: JsonObject): string;
  /** Has the dialect a seed? */
  readonly seed: boolean;
  /** The member with which the request offers or forces tools; null = it does not. */
  toolField(body: JsonObject): string | null;
}

/** Not every model goes on with an answer that merely stands last; all of them do what they are told. */
const GO_ON =
  "Your answer above was cut off. Go on exactly where it stops, with the very next character. Repeat nothing, and do " +
  "not mention that it was cut off.";

/** null: the dialect holds no conversations. */
export function conversationOf(dialect: DialectId): ConversationForm | null {
  return FORMS[dialect] ?? null;
}

const FORMS: Partial<Record<DialectId, ConversationForm>> = {
  "openai-chat": {
    seed: true,
    lastUserText: (body) => lastText(body.messages),
    withUserTurn: (body, text) => appended(body, "messages", { role: "user", content: text }),
    continued: (body, text) =>
      appended(body, "messages", { role: "assistant", content: text }, { role: "user", content: GO_ON }),
    answerText: (answer) => textOf(member(member(list(answer.choices)[0], "message"), "content")),
    toolField: (body) => namedTools(body, ["tools", "functions"], ["tool_choice", "function_call"]),
  },
  "anthropic-messages": {
    seed: false,
    lastUserText: (body) => lastText(body.messages),
    withUserTurn: (body, text) => appended(body, "messages", { role: "user", content: [{ type: "text", text }] }),
    continued: (body, text) =>
      appended(body, "messages", { role: "assistant", content: text.trimEnd() }, { role: "user", content: GO_ON }),
    answerText: (answer) => textOf(answer.content),
    toolField: (body) => namedTools(body, ["tools"], ["tool_choice"]),
  },
  "openai-responses": {
    seed: false,
    lastUserText: (body) => (typeof body.input === "string" ? body.input : lastText(body.input)),
    withUserTurn: (body, text) => appended(withList(body), "input", { role: "user", content: text }),
    continued: (body, text) =>
      appended(withList(body), "input", { role: "assistant", content: text }, { role: "user", content: GO_ON }),
    answerText: (answer) =>
      list(answer.output)
        .filter((item) => member(item, "type") === "message")
        .map((item) => textOf(member(item, "content")))
        .join("\n"),
    toolField: (body) => namedTools(body, ["tools"], ["tool_choice"]),
  },
  "openai-completions": {
    seed: true,
    lastUserText: (body) => (typeof body.prompt === "string" ? body.prompt : ""),
    withUserTurn: (body, text) =>
      typeof body.prompt === "string" ? { ...body, prompt: `${body.prompt}\n\n${text}\n\n` } : null,
    continued: (body, text) => (typeof body.prompt === "string" ? { ...body, prompt: body.prompt + text } : null),
    answerText: (answer) => textOf(member(list(answer.choices)[0], "text")),
    toolField: () => null,
  },
};

function list(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

function member(value: unknown, name: string): unknown {
  return typeof value === "object" && value !== null ? (value as Readonly<Record<string, unknown>>)[name] : undefined;
}

/** Text of a string, or of all text parts of a list. */
function textOf(content: unknown): string {
  if (typeof content === "string") return content;
  const texts = list(content).map((part) => member(part, "text"));
  return texts.filter((text): text is string => typeof text === "string").join("\n");
}

/** What a tool answered may stand in a user's turn, too; the user has said nothing then. */
function lastText(turns: unknown): string {
  const last = list(turns).findLast((turn) => member(turn, "role") === "user" && saysText(turn));
  return textOf(member(last, "content"));
}

function saysText(turn: unknown): boolean {
  return textOf(member(turn, "content")).trim() !== "";
}

function appended(body: JsonObject, name: string, ...further: readonly JsonObject[]): JsonObject | null {
  const turns = body[name];
  return Array.isArray(turns) ? { ...body, [name]: [...turns, ...further] } : null;
}

/** The input as a list of items, which it may always be. */
function withList(body: JsonObject): JsonObject {
  return typeof body.input === "string" ? { ...body, input: [{ role: "user", content: body.input }] } : body;
}

/** A choice that lets the model do without tools asks for none. */
function namedTools(body: JsonObject, lists: readonly string[], choices: readonly string[]): string | null {
  for (const name of lists) if (list(body[name]).length > 0) return name;
  for (const name of choices) if (forcesTool(body[name])) return name;
  return null;
}

/** OpenAI's dialects say it with a word or an object, the messages dialect with the object's type. */
function forcesTool(choice: unknown): boolean {
  const mode = typeof choice === "string" ? choice : (member(choice, "type") ?? choice ?? "none");
  return mode !== "auto" && mode !== "none";
}
