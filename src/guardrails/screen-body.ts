/** Local rules over a whole body: what they find in its texts, and the body with what they mask. */
import { bodyTexts } from "../dialects/form-texts.js";
import { spliceTexts, type TextShape, type TextSpan } from "../dialects/text-spans.js";
import type { Found } from "./rule.js";
import { type OwnedFinder, screenWhole } from "./text-screen.js";

/** One thing found, told once an owner, however often it stands there. */
export interface Finding {
  readonly owner: number;
  readonly action: "block" | "mask";
  readonly category: string;
}

export interface ScreenedBody {
  readonly findings: readonly Finding[];
  /** The body with masks; null = it is as it was. */
  readonly body: Buffer | null;
  /** The texts as they are now, and where they stand in the body as it is now. */
  readonly spans: readonly TextSpan[];
  /** Text is, or may be, there in a form that cannot be read. */
  readonly unreadable: boolean;
}

/** Nothing that can be read to its end: whatever stands in it. */
const UNREADABLE = { spans: [], unreadable: true };

/** Collects findings, each owner's action once. */
export class Findings {
  readonly list: Finding[] = [];

  /** May be handed around without its object. */
  readonly add = (owner: number, { action, category }: Pick<Found, "action" | "category">): void => {
    if (this.list.some((one) => one.owner === owner && one.action === action)) return;
    this.list.push({ owner, action, category });
  };
}

/** A body in JSON, or a form where `contentType` says so. */
export function screenBody(
  body: Buffer,
  shape: TextShape,
  finders: readonly OwnedFinder[],
  contentType = "",
): ScreenedBody {
  const { spans, unreadable } = bodyTexts(body, shape, contentType) ?? UNREADABLE;
  const findings = new Findings();
  let masked: (string | null)[] | null = null;
  for (let index = 0; index < spans.length; index += 1) {
    const instead = screenWhole((spans[index] as TextSpan).text, finders, findings.add);
    if (instead === null) continue;
    masked ??= new Array<string | null>(spans.length).fill(null);
    masked[index] = instead;
  }
  if (masked === null) return { findings: findings.list, body: null, spans, unreadable };
  const changed = spliceTexts(body, spans, masked);
  return {
    findings: findings.list,
    body: changed,
    spans: bodyTexts(changed, shape, contentType)?.spans ?? [],
    unreadable,
  };
}
