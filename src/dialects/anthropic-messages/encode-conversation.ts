/** Turns and system text as this wire's upstreams want them. */
import { asArray, asCount } from "../json.js";
import type { Block, JsonObject, JsonValue, SemanticRequest, Turn } from "../semantic.js";
import { LATER_SYSTEM, withBlockFields } from "./block-fields.js";
import { type ContentState, encodeBlocks, encodeText } from "./encode-content.js";

export interface EncodedConversation {
  readonly system: JsonObject[];
  readonly messages: JsonObject[];
}

function encodeSystem(request: SemanticRequest, state: ContentState): JsonObject[] {
  const system: JsonObject[] = [];
  for (const [index, block] of request.system.entries()) {
    const text = encodeText(block, state);
    if (text !== null) system.push(withBlockFields(state.fields, `s${index}`, text));
  }
  return system;
}

/** A request of this very dialect: every turn as it came, system turns back among the messages. */
function encodeExactly(request: SemanticRequest, state: ContentState): EncodedConversation {
  const system = encodeSystem(request, state);
  const messages = request.turns.map(({ role, blocks }, index) => {
    const place = `m${index}`;
    return withBlockFields(state.fields, place, { role, content: encodeBlocks(blocks, place, state) });
  });
  // From the last to the first, so that the places of those before stay true.
  for (const noted of [...asArray(request.extras[LATER_SYSTEM])].reverse()) {
    const [turn, first, count] = asArray(noted).map(asCount);
    if (turn === undefined || first === undefined || count === undefined || turn < 0 || first < 0) continue;
    messages.splice(turn, 0, { role: "system", content: system.splice(first, count) });
  }
  return { system, messages };
}

/** The wire has pictures and documents of callers only. */
function sayable(turn: Turn, state: ContentState): readonly Block[] {
  if (turn.role === "user") return turn.blocks;
  return turn.blocks.filter((block) => {
    const unsayable = block.kind === "image" || block.kind === "document";
    if (unsayable) state.losses.add(block.kind);
    return !unsayable;
  });
}

/** Results of tools must stand first in the turn that follows their calls. */
function resultsFirst(blocks: readonly JsonObject[]): JsonValue[] {
  const results = blocks.filter((block) => block.type === "tool_result");
  if (results.length === 0) return [...blocks];
  return [...results, ...blocks.filter((block) => block.type !== "tool_result")];
}

/** A request of another dialect: turns of one role merge, results come first, empty turns fall away. */
function encodeMerged(request: SemanticRequest, state: ContentState): EncodedConversation {
  const merged: { role: Turn["role"]; blocks: JsonObject[] }[] = [];
  for (const [index, turn] of request.turns.entries()) {
    if (turn.name !== null) state.losses.add("name");
    const blocks = encodeBlocks(sayable(turn, state), `m${index}`, state);
    if (blocks.length === 0) continue;
    const last = merged.at(-1);
    if (last?.role === turn.role) last.blocks.push(...blocks);
    else merged.push({ role: turn.role, blocks });
  }
  let system = encodeSystem(request, state);
  if (merged.length === 0 && system.length > 0) {
    // The wire refuses a request without messages: what is there is said by the user.
    state.losses.add("system");
    merged.push({ role: "user", blocks: system });
    system = [];
  }
  return { system, messages: merged.map(({ role, blocks }) => ({ role, content: resultsFirst(blocks) })) };
}

/** The conversation of a request. */
export function encodeConversation(request: SemanticRequest, state: ContentState): EncodedConversation {
  return state.exact ? encodeExactly(request, state) : encodeMerged(request, state);
}
