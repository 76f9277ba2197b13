/** Tables of generated pages. */

/** What stands at the top of every generated page. */
export const GENERATED = "Generated from the code by `test/generated/write.ts`; a test holds the two equal.";

/** A Markdown table; cells as they are. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(" | ")} |`;
  return [line(head), `|${"---|".repeat(head.length)}`, ...rows.map(line)].join("\n");
}

export function code(text: string): string {
  return `\`${text}\``;
}
