/** The rows of the route table whose requests go to a provider key, with a request for each. */
import { ROUTES } from "../../src/acceptor/routes.js";
import type { Operation } from "../../src/dialects/dialect.js";
import { formOf, type SentBody } from "./forms.js";

export const KEPT_OPERATIONS: ReadonlySet<Operation> = new Set<Operation>([
  "files",
  "batches",
  "fine_tuning",
  "responses_items",
  "passthrough",
]);

export interface KeptRow {
  readonly name: string;
  readonly method: string;
  readonly path: string;
  readonly operation: Operation;
  /** null = the row takes none. */
  readonly body: SentBody | null;
}

const IDS: Readonly<Partial<Record<Operation, string>>> = {
  files: "file-X",
  batches: "batch_X",
  fine_tuning: "ftjob-X",
  responses_items: "resp_X",
};

const json = (value: unknown): SentBody => ({
  bytes: Buffer.from(JSON.stringify(value)),
  contentType: "application/json",
});
const BODIES: Readonly<Partial<Record<Operation, SentBody>>> = {
  files: formOf({ purpose: "batch" }, [{ field: "file", name: "a.jsonl", bytes: Buffer.from("{}") }]),
  batches: json({ input_file_id: "file-X", endpoint: "/v1/responses", completion_window: "24h" }),
  fine_tuning: json({ model: "gpt-x", training_file: "file-X" }),
};

export const KEPT_ROWS: readonly KeptRow[] = ROUTES.filter(({ operation }) => KEPT_OPERATIONS.has(operation)).map(
  ({ method, path, operation }): KeptRow => {
    if (operation === "passthrough") {
      const anywhere = path.replace("{rest}", "openai-main/v1/fine_tuning/jobs");
      return { name: path, method: "POST", path: anywhere, operation, body: BODIES.fine_tuning ?? null };
    }
    const takesBody = method === "POST" && !path.includes("{");
    const filled = path.replace("{id}", IDS[operation] ?? "");
    return {
      name: `${method} ${path}`,
      method,
      path: filled,
      operation,
      body: takesBody ? (BODIES[operation] ?? null) : null,
    };
  },
);
