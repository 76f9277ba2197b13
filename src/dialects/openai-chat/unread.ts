/** What look-alikes say beside the vendor's fields: the sources of an answer, and members that nobody here knows. */
import { asArray, asObject, asObjects, asString } from "../json.js";
import type { Annotation, AnswerEvent, JsonObject, JsonValue } from "../semantic.js";
import { lossName } from "../loss-name.js";

/** Members of a message or delta that have a meaning here. */
const KNOWN: ReadonlySet<string> = new Set(
  (
    "role content refusal annotations tool_calls function_call audio images name parsed extra_content " +
    "reasoning reasoning_content reasoning_details thinking_blocks"
  ).split(" "),
);
/** Lists beside the choices that belong to what was answered. */
const BESIDE = ["images", "related_questions"] as const;

function saysSomething(value: JsonValue | undefined): boolean {
  if (typeof value !== "object" || value === null) return value !== undefined && value !== null && value !== "";
  return Array.isArray(value) ? value.length > 0 : Object.keys(value).length > 0;
}

/** Reports every member that says something nobody reads. Runs for every delta: allocates nothing unless one does. */
export function reportUnread(message: JsonObject, events: AnswerEvent[]): void {
  for (const name in message) {
    if (KNOWN.has(name) || !saysSomething(message[name])) continue;
    events.push({ kind: "loss", name: lossName(name, "message_field") });
  }
}

/** The same for an answer or chunk as a whole. */
export function reportUnreadBeside(body: JsonObject, events: AnswerEvent[]): void {
  for (const name of BESIDE) if (saysSomething(body[name])) events.push({ kind: "loss", name });
}

/** Thinking in the form of another vendor's parts, of which a stream reads the text only, from elsewhere. */
export function losesThinkingBlocks(delta: JsonObject): boolean {
  if (delta.thinking_blocks === undefined) return false;
  const hasText = asString(delta.reasoning_content) !== "" || asString(delta.reasoning) !== "";
  return asObjects(delta.thinking_blocks).some(
    (part) => saysSomething(part.signature) || saysSomething(part.data) || (!hasText && saysSomething(part.thinking)),
  );
}

/**
 * Sources that stand beside the choices, as citations of the whole text: `search_results: [{title, url}]`, or
 * `citations: [url]`. null = this answer or chunk names none.
 */
export function sourcesIn(body: JsonObject): readonly Annotation[] | null {
  const { search_results, citations } = body;
  if (search_results === undefined && citations === undefined) return null;
  const results = asArray(search_results);
  const sources = (results.length > 0 ? results : asArray(citations)).map(sourceOf);
  return sources.filter(({ url, title }) => url !== "" || title !== "");
}

function sourceOf(source: JsonValue): Annotation {
  const fields = asObject(source);
  const url = fields === null ? asString(source) : asString(fields.url);
  return { kind: "url", url, title: asString(fields?.title), citedText: "", start: -1, end: -1, raw: null };
}
