/** The pool's part: local rules over a body that is too large to be screened where it arrives. */
import type { DialectId } from "../dialects/dialect.js";
import { textsOfDialect } from "../dialects/texts.js";
import { findersOf } from "./local-rules.js";
import type { OwnedRule } from "./plan.js";
import type { Direction } from "./rule.js";
import { screenBody, type ScreenedBody } from "./screen-body.js";
import type { OwnedFinder } from "./text-screen.js";

export interface ScreenJob {
  readonly dialect: DialectId;
  readonly direction: Direction;
  readonly body: Uint8Array;
  /** Of a request's body; "" = JSON. */
  readonly contentType: string;
  /** Equal names, equal rules: they are compiled once a thread. */
  readonly name: string;
  readonly rules: readonly OwnedRule[];
  /** Does anybody need the texts themselves? */
  readonly wantsTexts: boolean;
}

/** `body`: null = as it was. */
export type ScreenResult = Omit<ScreenedBody, "body"> & { readonly body: Uint8Array | null };

const MAX_COMPILED = 64;
const compiled = new Map<string, readonly OwnedFinder[]>();

export function runScreenJob(job: ScreenJob): ScreenResult {
  const { request, answer } = textsOfDialect(job.dialect);
  const shape = job.direction === "input" ? request : answer;
  if (shape === null) return { findings: [], body: null, spans: [], unreadable: false };
  const body = Buffer.from(job.body.buffer, job.body.byteOffset, job.body.byteLength);
  const screened = screenBody(body, shape, compiledOf(job), job.contentType);
  return job.wantsTexts ? screened : { ...screened, spans: [] };
}

function compiledOf({ name, rules }: ScreenJob): readonly OwnedFinder[] {
  const known = compiled.get(name);
  if (known !== undefined) return known;
  const finders = rules.flatMap(({ owner, rule, masks }) =>
    findersOf(rule).map((finder): OwnedFinder => ({ finder, owner, masks })),
  );
  const oldest = compiled.size >= MAX_COMPILED ? compiled.keys().next().value : undefined;
  if (oldest !== undefined) compiled.delete(oldest);
  compiled.set(name, finders);
  return finders;
}
