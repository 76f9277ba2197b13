/** Sums usage events up by chosen columns. */
import { dollarsFromNanos, nanosOf } from "./dollars.js";
import type { UsageEvent } from "./event.js";

const COLUMNS = Object.freeze({
  key: (event) => event.api_key,
  team: (event) => event.team_id ?? "",
  user: (event) => event.user_id ?? "",
  model: (event) => event.model,
  model_entry: (event) => event.model_entry,
  upstream_model: (event) => event.upstream_model,
  response_model: (event) => event.response_model,
  provider: (event) => event.provider,
  provider_key: (event) => event.provider_key,
  operation: (event) => event.operation,
  client_dialect: (event) => event.client_dialect,
  target_dialect: (event) => event.target_dialect,
  streamed: (event) => String(event.streamed),
  status: (event) => String(event.status),
  error: (event) => event.error,
  finish_reason: (event) => event.finish_reason,
  estimated: (event) => String(event.estimated),
  price_known: (event) => String(event.price_known),
  complete: (event) => String(event.complete),
  cache: (event) => event.cache,
  client_address: (event) => event.client_address,
  user_agent: (event) => event.user_agent,
  node: (event) => event.node,
  day: (event) => event.time.slice(0, 10),
  hour: (event) => `${event.time.slice(0, 13)}:00Z`,
}) satisfies Readonly<Record<string, (event: UsageEvent) => string>>;

export type Column = keyof typeof COLUMNS;

/** What `--by` takes. */
export const COLUMN_NAMES = Object.keys(COLUMNS) as readonly Column[];

export function isColumn(name: string): name is Column {
  return Object.hasOwn(COLUMNS, name);
}

/** Groups kept apart; names come from callers, so there may be any number of them. */
const MAX_GROUPS = 100_000;
const OTHER = "(other)";

/** Sums of one group; every event is an attempt, a request is counted by its first. */
export interface Sums {
  requests: number;
  attempts: number;
  /** Attempts that ended in an error. */
  errors: number;
  input_tokens: number;
  output_tokens: number;
  cache_read_tokens: number;
  cache_write_tokens: number;
  reasoning_tokens: number;
  images: number;
  audio_seconds: number;
  characters: number;
  search_units: number;
  /** US dollars. */
  cost_usd: number;
}

export const SUM_NAMES = [
  "requests",
  "attempts",
  "errors",
  "input_tokens",
  "output_tokens",
  "cache_read_tokens",
  "cache_write_tokens",
  "reasoning_tokens",
  "images",
  "audio_seconds",
  "characters",
  "search_units",
  "cost_usd",
] as const satisfies readonly (keyof Sums)[];

export function noSums(): Sums {
  return {
    requests: 0,
    attempts: 0,
    errors: 0,
    input_tokens: 0,
    output_tokens: 0,
    cache_read_tokens: 0,
    cache_write_tokens: 0,
    reasoning_tokens: 0,
    images: 0,
    audio_seconds: 0,
    characters: 0,
    search_units: 0,
    cost_usd: 0,
  };
}

export function addTo(sums: Sums, event: UsageEvent): void {
  if (event.attempt <= 1) sums.requests += 1;
  sums.attempts += 1;
  if (event.error !== "" || event.status >= 400) sums.errors += 1;
  sums.input_tokens += event.input_tokens;
  sums.output_tokens += event.output_tokens;
  sums.cache_read_tokens += event.cache_read_tokens;
  sums.cache_write_tokens += event.cache_write_tokens;
  sums.reasoning_tokens += event.reasoning_tokens;
  sums.images += event.images;
  sums.audio_seconds = Math.round((sums.audio_seconds + event.audio_seconds) * 1_000) / 1_000;
  sums.characters += event.characters;
  sums.search_units += event.search_units;
  // In whole billionths, so that the order of the events does not matter.
  sums.cost_usd = dollarsFromNanos(nanosOf(sums.cost_usd) + nanosOf(event.cost_usd));
}

/** Adds sums to sums, as exactly as events are added. */
export function addSums(sums: Sums, more: Readonly<Sums>): void {
  const cost = dollarsFromNanos(nanosOf(sums.cost_usd) + nanosOf(more.cost_usd));
  const seconds = Math.round((sums.audio_seconds + more.audio_seconds) * 1_000) / 1_000;
  for (const name of SUM_NAMES) sums[name] += more[name];
  sums.cost_usd = cost;
  sums.audio_seconds = seconds;
}

interface Group {
  readonly values: readonly string[];
  readonly sums: Sums;
}

/** One line of the result: the columns' values and the sums. */
export type SummaryRow = Partial<Record<Column, string>> & Sums;

export class Summary {
  readonly total: Sums = noSums();
  readonly #columns: readonly Column[];
  readonly #groups = new Map<string, Group>();

  constructor(columns: readonly Column[]) {
    this.#columns = columns;
  }

  add(event: UsageEvent): void {
    addTo(this.total, event);
    const values = this.#columns.map((column) => COLUMNS[column](event));
    addTo(this.#groupOf(values), event);
  }

  /** Adds what has been summed up already; a column that it does not tell counts as empty. */
  addSums(told: Readonly<Partial<Record<Column, string>>>, sums: Readonly<Sums>): void {
    addSums(this.total, sums);
    addSums(this.#groupOf(this.#columns.map((column) => told[column] ?? "")), sums);
  }

  #groupOf(told: readonly string[]): Sums {
    let values = told;
    let key = JSON.stringify(values);
    if (this.#groups.size >= MAX_GROUPS && !this.#groups.has(key)) {
      values = values.map(() => OTHER);
      key = JSON.stringify(values);
    }
    let group = this.#groups.get(key);
    if (group === undefined) {
      group = { values, sums: noSums() };
      this.#groups.set(key, group);
    }
    return group.sums;
  }

  /** The groups, most tokens first, then by name. */
  groups(): Group[] {
    return [...this.#groups.values()].sort(
      (a, b) => weight(b.sums) - weight(a.sums) || (a.values.join("\u0000") < b.values.join("\u0000") ? -1 : 1),
    );
  }

  rows(): SummaryRow[] {
    return this.groups().map(({ values, sums }) => {
      const row: Partial<Record<Column, string>> = {};
      for (const [index, column] of this.#columns.entries()) row[column] = values[index] ?? "";
      return { ...row, ...sums };
    });
  }
}

function weight(sums: Sums): number {
  return sums.input_tokens + sums.output_tokens;
}

/** Names come from callers: nothing in them may steer the terminal. */
export function printable(text: string): string {
  return text === "" ? "-" : text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, "?");
}

/** Millionths of a dollar are shown, as far as there are any. */
function dollars(amount: number): string {
  return `$${amount.toFixed(6).replace(/0{1,4}$/, "")}`;
}

/** Most have none of these. */
const SHOWN_WHERE_USED: ReadonlySet<keyof Sums> = new Set<keyof Sums>([
  "images",
  "audio_seconds",
  "characters",
  "search_units",
]);

/** The summary as a table for people, the totals below. */
export function renderTable(columns: readonly Column[], summary: Summary): string {
  const names = SUM_NAMES.filter((name) => !SHOWN_WHERE_USED.has(name) || summary.total[name] > 0);
  const heading = [...columns, ...names.map((name) => name.replace(/_(?:tokens|usd)$/, ""))];
  const numbers = (sums: Sums): string[] =>
    names.map((name) => (name === "cost_usd" ? dollars(sums[name]) : String(sums[name])));
  const body = summary.groups().map(({ values, sums }) => [...values.map(printable), ...numbers(sums)]);
  const total = [...columns.map((_column, index) => (index === 0 ? "total" : "")), ...numbers(summary.total)];
  const table = [heading, ...body, total];
  const widths = heading.map((_name, index) =>
    table.reduce((width, row) => Math.max(width, row[index]?.length ?? 0), 0),
  );
  const line = (row: readonly string[]): string =>
    row
      .map((cell, index) => {
        const width = widths[index] ?? 0;
        return index < columns.length ? cell.padEnd(width) : cell.padStart(width);
      })
      .join("  ")
      .trimEnd();
  return `${table.map(line).join("\n")}\n`;
}
