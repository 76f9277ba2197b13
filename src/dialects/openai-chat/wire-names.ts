/** Names and ids that the wire takes only in a certain form: changed the same way each time, and changed back. */
import { createHash } from "node:crypto";

const TOOL_NAME = /^[a-zA-Z0-9_-]{1,64}$/;
const MAX_NAME = 64;
const MAX_ID = 40;
const NINE = /^[a-zA-Z0-9]{9}$/;

function digest(text: string, length: number): string {
  return createHash("sha256").update(text).digest("hex").slice(0, length);
}

/** Tool names as they are sent; what had to change is remembered. */
export class ToolNames {
  /** Sent → what the caller said. */
  readonly renamed = new Map<string, string>();
  readonly #sent = new Map<string, string>();

  /** The name to send: letters, digits, `_` and `-`, at most 64. Two names never become one. */
  sent(name: string): string {
    if (TOOL_NAME.test(name)) return name;
    const known = this.#sent.get(name);
    if (known !== undefined) return known;
    const mark = `_${digest(name, 8)}`;
    const sent = name.replace(/[^a-zA-Z0-9_-]/g, "_").slice(0, MAX_NAME - mark.length) + mark;
    this.#sent.set(name, sent);
    this.renamed.set(sent, name);
    return sent;
  }
}

/** The id of a call as it is sent, in the history's calls and results alike. */
export function callId(id: string, form: "vendor" | "nine"): string {
  if (form === "nine") return NINE.test(id) ? id : digest(id, 9);
  return id.length <= MAX_ID ? id : `call_${digest(id, 32)}`;
}
