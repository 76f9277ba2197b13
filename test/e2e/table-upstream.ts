/** The upstream of the table of controls: the model's name says how it behaves, so that rows do not disturb each other. */
import type { ServerResponse } from "node:http";
import { ASKING, type AskingRow } from "./table-surfaces.js";
import { startHandUpstream } from "./wire.js";

/**
 * ok, bad and mail: answers that say these things. fail: always 500. once: 500 the first time. late: nothing ever
 * comes. hold: nothing, or half of a stream, until it is let go.
 */
export type Behaviour = "ok" | "bad" | "mail" | "fail" | "once" | "late" | "hold";

export const GOOD = "The sparrow flew.";
export const BAD = "Tell of the falcon.";
export const MAIL = "Write to ann@example.com today.";
export const MASKED_MAIL = "Write to [EMAIL] today.";

const SAYS: Readonly<Record<Behaviour, readonly string[]>> = {
  ok: ["The spar", "row flew."],
  bad: ["Tell of the fal", "con."],
  mail: ["Write to ann@exa", "mple.com today."],
  fail: [],
  once: ["The spar", "row flew."],
  late: [],
  hold: ["The spar", "row flew."],
};

const MODEL = /tbl\.([a-z]+)\.([\w-]+)\.([\w-]+)/;

/** The name by which an upstream knows what is wanted. */
export function upstreamModel(behaviour: Behaviour, row: { readonly id: string }, use: string): string {
  return `tbl.${behaviour}.${row.id}.${use}`;
}

export interface TableUpstream {
  readonly url: string;
  /** The bodies that came for a model, in their order. */
  bodies(model: string): readonly string[];
  /** Answers of a model that were not taken to their end. */
  aborted(model: string): number;
  /** Lets what a model holds go, and no longer holds anything. */
  release(model: string): void;
  close(): Promise<void>;
}

export async function startTableUpstream(): Promise<TableUpstream> {
  const bodies = new Map<string, string[]>();
  const aborted = new Map<string, number>();
  const held = new Map<string, (() => void)[]>();
  const released = new Set<string>();
  const hand = await startHandUpstream((response, bytes, { url = "" }) => {
    const body = bytes.toString("latin1");
    const match = MODEL.exec(body) ?? MODEL.exec(url);
    const row = ASKING.find(({ id }) => id === match?.[2]);
    if (match === null || row === undefined) {
      response.writeHead(404, { "content-type": "application/json" }).end('{"error":{"message":"no such model"}}');
      return;
    }
    const [model, behaviour] = [match[0], match[1] as Behaviour];
    bodies.set(model, [...(bodies.get(model) ?? []), body]);
    response.once("close", () => {
      if (!response.writableFinished) aborted.set(model, (aborted.get(model) ?? 0) + 1);
    });
    const fails = behaviour === "fail" || (behaviour === "once" && bodies.get(model)?.length === 1);
    if (fails) fail(response, behaviour);
    else if (behaviour === "hold" && !released.has(model)) {
      held.set(model, [...(held.get(model) ?? []), hold(response, row)]);
    } else if (behaviour !== "late") answer(response, row, behaviour);
  });
  return {
    url: hand.url,
    bodies: (model) => bodies.get(model) ?? [],
    aborted: (model) => aborted.get(model) ?? 0,
    release: (model) => {
      released.add(model);
      for (const go of held.get(model) ?? []) go();
      held.delete(model);
    },
    close: hand.close,
  };
}

/** Who fails once asks for a pause that is short enough for a test. */
function fail(response: ServerResponse, behaviour: Behaviour): void {
  const pause = behaviour === "once" ? { "retry-after-ms": "5" } : {};
  response.writeHead(500, { "content-type": "application/json", ...pause });
  response.end('{"type":"error","error":{"type":"api_error","message":"The upstream failed."}}');
}

function answer(response: ServerResponse, row: AskingRow, behaviour: Behaviour): void {
  const { type, bytes } = row.traits.answer(SAYS[behaviour]);
  response.writeHead(200, { "content-type": type });
  response.end(bytes);
}

function hold(response: ServerResponse, row: AskingRow): () => void {
  if (!row.stream) return () => answer(response, row, "hold");
  const { type, bytes } = row.traits.answer(SAYS.hold);
  const half = bytes.indexOf("\n\n") + 2;
  response.writeHead(200, { "content-type": type });
  response.write(bytes.slice(0, half));
  return () => response.end(bytes.slice(half));
}
