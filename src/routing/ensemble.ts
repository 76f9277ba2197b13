/** The words of an ensemble: what its judge reads of the panel's answers. Pure. */

/** Bytes of one panel answer that the judge sees. */
const ANSWER_BYTES = 8_192;
const CUT_MARK = "\n[cut]";

const DEFAULT_PROMPT =
  "Several assistants have answered the conversation above, each on its own. Their answers follow. Write the one " +
  "answer that serves the user best: keep what is right, leave out what is wrong, settle contradictions, and do not " +
  "mention that there were several answers.";

export interface PanelAnswer {
  /** The member's name. */
  readonly model: string;
  readonly text: string;
}

/** The turn that asks the judge to write the answer. `prompt`: the ensemble's own words; null = the usual ones. */
export function synthesisTurn(prompt: string | null, answers: readonly PanelAnswer[]): string {
  const labelled = answers.map(({ model, text }, index) => `## Answer ${index + 1} (${model})\n\n${cut(text)}`);
  return `${prompt ?? DEFAULT_PROMPT}\n\n${labelled.join("\n\n")}`;
}

/** At most `ANSWER_BYTES` of UTF-8, never half a character. */
function cut(text: string): string {
  const bytes = Buffer.from(text);
  if (bytes.length <= ANSWER_BYTES) return text;
  let end = ANSWER_BYTES;
  while (((bytes[end] as number) & 0xc0) === 0x80) end -= 1;
  return bytes.toString("utf8", 0, end) + CUT_MARK;
}
