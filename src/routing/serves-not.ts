/** What a caller is told who asks a model for something that it does not serve. */
import { BRIDGES } from "../dialects/bridge.js";
import { type DialectId, KEYED, type Operation } from "../dialects/dialect.js";
import { type Failure, failure } from "../errors.js";

export interface Asked {
  /** The model, as the caller named it. */
  readonly name: string;
  readonly operation: Operation;
  readonly dialect: DialectId;
}

/** Does the model serve an operation in a caller's dialect? */
export type Serves = (operation: Operation, dialect: DialectId) => boolean;

/** The refusal, with the names of the operations that the model does serve. */
export function servesNot({ name, operation, dialect }: Asked, serves: Serves): Failure {
  // What goes to provider keys is none of the models'.
  const others = told(operationsServed(serves).filter((other) => !KEYED.has(other)));
  const message = `The model "${name}" does not serve "${operation}" in the ${dialect} dialect. ${others}`;
  return failure("unsupported_operation", message, "model");
}

/** The same of a provider key, by its name. */
export function keyServesNot(name: string, operation: Operation, serves: Serves): Failure {
  const message = `The provider key "${name}" does not serve "${operation}". ${told(operationsServed(serves))}`;
  return failure("unsupported_operation", message);
}

function operationsServed(serves: Serves): readonly Operation[] {
  const all = Object.entries(BRIDGES) as [Operation, (typeof BRIDGES)[Operation]][];
  const served = all.filter(([operation, callers]) => {
    return (Object.keys(callers) as DialectId[]).some((dialect) => serves(operation, dialect));
  });
  return served.map(([operation]) => operation);
}

function told(operations: readonly Operation[]): string {
  return operations.length === 0 ? "It serves nothing." : `It serves: ${operations.join(", ")}.`;
}
