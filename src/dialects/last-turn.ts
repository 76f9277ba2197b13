/** What the user said last, apart from all the rest of a request: for answers by meaning. */
import type { DialectId } from "./dialect.js";
import { parseObject } from "./hub.js";
import { asObject, asObjects, asString } from "./json.js";
import { type PlacedText, placedTextsOf, spliceTexts } from "./text-spans.js";
import { textsOfDialect } from "./texts.js";

/** Where the turns of a conversation stand, or the one text that is asked about. */
const TURNS: Readonly<Partial<Record<DialectId, string>>> = {
  "openai-chat": "messages",
  "anthropic-messages": "messages",
  "openai-responses": "input",
  "openai-completions": "prompt",
};

export interface SplitRequest {
  readonly text: string;
  /** The body with nothing where that text stood. */
  readonly rest: Buffer;
}

/** null: the request does not end with a text of the user's. */
export function splitLastTurn(dialect: DialectId, body: Buffer): SplitRequest | null {
  const field = TURNS[dialect];
  const turns = field === undefined ? undefined : parseObject(body)?.[field];
  if (field === undefined || turns === undefined) return null;
  const way = typeof turns === "string" ? [field] : Array.isArray(turns) ? [field, turns.length - 1] : null;
  if (way === null || (Array.isArray(turns) && !isUsers(asObject(turns.at(-1))))) return null;
  const placed = placedTextsOf(body, textsOfDialect(dialect).request);
  if (placed === null) return null;
  const isLast = ({ path }: PlacedText) => way.every((step, index) => path[index] === step);
  const text = placed
    .filter(isLast)
    .map((span) => span.text)
    .join("\n");
  if (text.trim() === "") return null;
  const rest = spliceTexts(
    body,
    placed,
    placed.map((span) => (isLast(span) ? "" : null)),
  );
  return { text, rest };
}

/** Words of the user's own: what a tool has said is not a matter of meaning. */
function isUsers(turn: Readonly<Record<string, unknown>> | null): boolean {
  if (turn === null || turn.role !== "user") return false;
  return !asObjects(turn.content as never).some((part) => asString(part.type).includes("tool"));
}
