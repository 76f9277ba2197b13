/**
 * What a model of this wire takes of thinking, sampling and structure, by its name. Facts: the vendor's
 * model pages and SDK (versions to 5.5); newer and unknown versions are taken for the newest kind. Names
 * come bare or dressed: `us.anthropic.claude-opus-4-6-v1:0`, `claude-sonnet-4-5@20250929`.
 */

export interface ModelGeneration {
  /** "budget": thinking with budget_tokens; "adaptive": the model decides, guided by an effort. */
  readonly thinking: "none" | "budget" | "adaptive";
  /** May thinking be switched off with `disabled`? */
  readonly canDisableThinking: boolean;
  /** "all": temperature and top_p together; "one": only one of them; "none": neither, nor top_k. */
  readonly sampling: "all" | "one" | "none";
  /** Levels of output_config.effort; empty = it has none. */
  readonly efforts: readonly string[];
  /** Is the thinking left out of answers unless `display` asks for it? */
  readonly hidesThinking: boolean;
  /** Does it have output_config.format and strict tools? */
  readonly structured: boolean;
  /** May a tool be forced? */
  readonly forcedTools: boolean;
}

const ALL_EFFORTS = ["low", "medium", "high", "xhigh", "max"] as const;

/** Models of other vendors that speak this wire: everything that the wire has had for long. */
const OTHER_VENDOR: ModelGeneration = {
  thinking: "budget",
  canDisableThinking: true,
  sampling: "all",
  efforts: [],
  hidesThinking: false,
  structured: true,
  forcedTools: true,
};
const BEFORE_THINKING: ModelGeneration = { ...OTHER_VENDOR, thinking: "none", structured: false };
const FIRST_THINKING: ModelGeneration = { ...OTHER_VENDOR, structured: false };
const STRUCTURED: ModelGeneration = { ...OTHER_VENDOR, sampling: "one" };
const ADAPTIVE: ModelGeneration = { ...STRUCTURED, thinking: "adaptive", efforts: ["low", "medium", "high", "max"] };
const NO_SAMPLING: ModelGeneration = { ...ADAPTIVE, sampling: "none", efforts: ALL_EFFORTS, hidesThinking: true };
const ALWAYS_THINKING: ModelGeneration = { ...NO_SAMPLING, canDisableThinking: false };
const UNFORCED: ModelGeneration = { ...ALWAYS_THINKING, forcedTools: false };

const FAMILY_FIRST = /claude-([a-z]+)-(\d{1,2})(?:[-.](\d{1,2}))?(?!\d)/;
const VERSION_FIRST = /claude-v?(\d)(?:[-.](\d{1,2}))?(?!\d)/;
const FAMILY = /opus|sonnet|haiku|mythos|fable/;

/** `version`: the major number and hundredths for the minor one, so that 4.10 comes after 4.9. */
function byVersion(family: string, version: number): ModelGeneration {
  if (family === "mythos" || family === "fable") return version >= 5.01 ? UNFORCED : ALWAYS_THINKING;
  if (version < 3.07) return BEFORE_THINKING;
  if (version < 4.01) return FIRST_THINKING;
  if (version < 4.06) return STRUCTURED;
  if (version < 4.07) return ADAPTIVE;
  if (version >= 5.05 && (family === "opus" || family === "sonnet")) return UNFORCED;
  return NO_SAMPLING;
}

/** The generation of a model; for names of other vendors, one that asks little. */
export function modelGeneration(model: string): ModelGeneration {
  const name = model.toLowerCase();
  if (!name.includes("claude")) return OTHER_VENDOR;
  const named = FAMILY_FIRST.exec(name);
  if (named !== null) return byVersion(named[1] ?? "", Number(named[2]) + Number(named[3] ?? 0) / 100);
  const family = FAMILY.exec(name)?.[0] ?? "";
  const numbered = VERSION_FIRST.exec(name);
  if (numbered === null) return family === "mythos" ? ALWAYS_THINKING : NO_SAMPLING;
  return byVersion(family, Number(numbered[1]) + Number(numbered[2] ?? 0) / 100);
}
