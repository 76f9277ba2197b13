/** The tokenize dialect's answer where the gateway gives it. */

export interface Tokenized {
  readonly count: number;
  /** null: the text was too long for all its tokens to be found. */
  readonly tokens: readonly number[] | null;
  /** The text of each token; null when not asked for. */
  readonly strings: readonly string[] | null;
}

/** JSON text. Every member is there, null where it is not known: so is a model's longest context here. */
export function renderTokens({ count, tokens, strings }: Tokenized): string {
  return JSON.stringify({ count, max_model_len: null, tokens, token_strs: strings });
}
