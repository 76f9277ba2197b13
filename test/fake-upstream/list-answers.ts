/** What the fakes of list endpoints have in common: strictness about members, and answers that follow from the input. */

// biome-ignore lint/suspicious/noExplicitAny: bodies are looked into field by field.
export type Body = any;

export interface Reply {
  readonly body: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  readonly inputs: number;
}

export class Refused extends Error {}

/** The vector of a text: four numbers that 32-bit floats hold exactly. */
export function vectorOf(text: string, length = 4): number[] {
  let sum = 7;
  for (const char of text) sum = (sum * 31 + (char.codePointAt(0) ?? 0)) % 4093;
  return Array.from({ length }, (_, index) => ((sum + index * 17) % 256) / 256 - 0.5);
}

/** A vendor counts a text's tokens so. */
export function tokensOf(text: string): number {
  return Math.max(1, Math.ceil(text.length / 4));
}

/** How well a document fits: by the words that it shares with the query. */
export function scoreOf(query: string, document: string): number {
  const words = new Set(document.toLowerCase().split(/\W+/));
  const wanted = query.toLowerCase().split(/\W+/);
  return wanted.filter((word) => words.has(word)).length / wanted.length;
}

export function only(body: Body, ...names: string[]): void {
  for (const name of Object.keys(body)) if (!names.includes(name)) throw new Refused(`unknown field: ${name}`);
}

export function texts(list: unknown, most: number): string[] {
  if (!Array.isArray(list) || list.length === 0) throw new Refused("a list is needed");
  if (list.length > most) throw new Refused(`at most ${most} inputs`);
  for (const text of list) if (typeof text !== "string") throw new Refused("an input is no text");
  return list;
}

export function sum(list: readonly string[]): number {
  return list.reduce((total, text) => total + tokensOf(text), 0);
}

/** 32-bit floats, little-endian. */
export function base64(vector: readonly number[]): string {
  return Buffer.from(Float32Array.from(vector).buffer).toString("base64");
}

export function ranked(query: unknown, documents: string[], most: unknown): { index: number; score: number }[] {
  if (typeof query !== "string") throw new Refused("a query is needed");
  const scored = documents.map((text, index) => ({ index, score: scoreOf(query, text) }));
  scored.sort((one, other) => other.score - one.score || one.index - other.index);
  return typeof most === "number" ? scored.slice(0, most) : scored;
}
