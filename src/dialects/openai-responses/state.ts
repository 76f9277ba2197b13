/** What requests of this dialect lean on that only the vendor holds: earlier answers, conversations, prompts, items. */
import { isAbsent } from "../json.js";
import { scanTopLevel } from "../json-scan.js";
import { keyTable } from "../json-text.js";
import { asObject, parseJson, scannedValue } from "../json-values.js";
import type { JsonValue, SemanticRequest } from "../semantic.js";
import { WIRE } from "./shapes.js";

const STATE_FIELDS = ["previous_response_id", "conversation", "prompt"] as const;
const REFERENCE = "item_reference";
const BODY_KEYS = keyTable([...STATE_FIELDS, "input"]);
const INPUT = STATE_FIELDS.length;

/** The field by which a request leans on stored state; null = it stands alone. */
export function stateField(request: SemanticRequest): string | null {
  for (const field of STATE_FIELDS) {
    if (request.extras[field] !== undefined) return field;
  }
  const refers = request.turns.some((turn) =>
    turn.blocks.some((block) => block.kind === "foreign" && block.wire === WIRE && block.type === REFERENCE),
  );
  return refers ? "input" : null;
}

/** The same, found in the bytes of a body; its input is parsed only where it may hold a reference. */
export function stateFieldIn(body: Buffer): string | null {
  const scan = scanTopLevel(body, BODY_KEYS);
  for (const [index, field] of STATE_FIELDS.entries()) {
    const value = scannedValue(scan, index);
    if (value !== null && !isAbsent(parseJson(value) as JsonValue)) return field;
  }
  const input = scannedValue(scan, INPUT);
  if (input === null || !input.includes(REFERENCE)) return null;
  const items = parseJson(input);
  const refers = Array.isArray(items) && items.some((item) => asObject(item)?.type === REFERENCE);
  return refers ? "input" : null;
}
