import { type AccessFields, writeAccess } from "../../../src/observability/logger.js";
import { JsonLine } from "../../../src/usage/json-line.js";

/** A request's line of the access log as text. */
export function accessLine(fields: AccessFields): string {
  const line = new JsonLine();
  writeAccess(line, fields);
  return line.written().toString("utf8");
}
