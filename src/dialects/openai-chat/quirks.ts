/**
 * How the vendors of this wire differ in what their requests may hold. A row says only what differs; source:
 * the vendors' own API references.
 */

export interface Quirks {
  /** Takes `cache_control` on parts and tools; the others cache by themselves or not at all. */
  readonly cacheControl: boolean;
  readonly topK: boolean;
  /** `reasoning_effort` with a word, or `reasoning: {effort | max_tokens | enabled}`. */
  readonly reasoning: "effort" | "object";
  /**
   * Thinking in history: "details" takes proofs of other wires too, "own" only the text that a model of this
   * wire thought itself, "none" refuses or ignores the field.
   */
  readonly thinking: "details" | "own" | "none";
  /** Takes the vendor's newer request fields: verbosity, prompt_cache_key, service_tier, custom tools, allowed_tools. */
  readonly vendorFields: boolean;
  /** Ignores or refuses nothing that its own reference does not name: the vendor's limits hold. */
  readonly vendorLimits: boolean;
  /** Ids of calls: at most 40 characters, or exactly nine letters and digits. */
  readonly callIds: "vendor" | "nine";
  /** Wants the signature that came with a call back. */
  readonly thoughtSignatures: boolean;
}

const USUAL: Quirks = {
  cacheControl: false,
  topK: true,
  reasoning: "effort",
  thinking: "own",
  vendorFields: false,
  vendorLimits: false,
  callIds: "vendor",
  thoughtSignatures: false,
};

const VENDOR: Quirks = { ...USUAL, topK: false, thinking: "none", vendorFields: true, vendorLimits: true };

const ROWS: Readonly<Record<string, Partial<Quirks>>> = {
  openai: VENDOR,
  "azure-openai": VENDOR,
  simulator: { vendorFields: true },
  "openai-compatible": { vendorFields: true },
  openrouter: {
    cacheControl: true,
    reasoning: "object",
    thinking: "details",
    vendorFields: true,
    thoughtSignatures: true,
  },
  anthropic: { topK: false, thinking: "none" },
  gemini: { topK: false, thinking: "none", thoughtSignatures: true },
  groq: { topK: false },
  xai: { topK: false },
  cerebras: { topK: false },
  mistral: { topK: false, thinking: "none", callIds: "nine" },
  cohere: { topK: false, thinking: "none" },
  qwen: { cacheControl: true },
};

const BUILT = new Map(Object.entries(ROWS).map(([provider, row]) => [provider, Object.freeze({ ...USUAL, ...row })]));

/** What this provider is like; one that has no row is as most look-alikes are. */
export function quirksOf(provider: string): Quirks {
  return BUILT.get(provider) ?? USUAL;
}
