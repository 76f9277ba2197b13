/** What a raw request is read as, where the path at its provider tells. */
import { type Dialect, DIALECTS, type DialectId, type Operation, type RequestView, type WireId } from "../dialect.js";
import { type Failure, isFailure } from "../../errors.js";
import { dialectOf } from "../registry.js";
import { rawGenerateContent } from "./generate-content.js";
import { keyedView } from "../keyed-request.js";

export interface RawSpeech {
  readonly operation: Operation;
  readonly dialect: Dialect;
  readonly view: RequestView;
}

export interface RawBody {
  readonly body: Buffer;
  readonly contentType: string;
  /** The model that the path names; "" = none. */
  readonly model: string;
}

const CALLERS: ReadonlySet<string> = new Set<DialectId>(DIALECTS);

/** null: nothing is known of this wire. A Failure: the body is none of its requests. It is read and never changed. */
export function rawSpeech(
  operation: Operation,
  wire: WireId,
  { body, contentType, model }: RawBody,
): RawSpeech | Failure | null {
  if (wire === "gemini") return { operation, dialect: rawGenerateContent, view: keyedView(model) };
  if (!CALLERS.has(wire)) return null;
  const dialect = dialectOf(wire as DialectId);
  if (dialect.readKeyed !== undefined && operation !== "responses") return null;
  const view = dialect.readRequest(body, operation, model === "" ? null : model, contentType);
  if (isFailure(view)) return view;
  // What the caller did not ask for is not asked for.
  return { operation, dialect, view: { ...view, usageAsked: true } };
}
