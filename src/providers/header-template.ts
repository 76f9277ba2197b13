/** Header values that hold variables of the request: `${request.id}` and its like. */

/** What a value may name of the request under way. */
export interface RequestVariables {
  readonly "request.id": string;
  /** As the caller named it. */
  readonly "request.model": string;
  readonly "request.operation": string;
  readonly "upstream.model": string;
  readonly "api_key.name": string;
  readonly "api_key.team_id": string;
  readonly "api_key.user_id": string;
}

export const REQUEST_VARIABLES = [
  "request.id",
  "request.model",
  "request.operation",
  "upstream.model",
  "api_key.name",
  "api_key.team_id",
  "api_key.user_id",
] as const satisfies readonly (keyof RequestVariables)[];

const VARIABLE = /\$\{([^}]*)\}/g;
/** What a header's value may hold; anything else could end the header and begin another. */
const SAFE = /^[\x20-\x7e]*$/;

/** Does the value hold anything that must be filled in? */
export function isTemplate(value: string): boolean {
  return value.includes("${");
}

/** The first name in the value that is none of `REQUEST_VARIABLES`; null = all are known. */
export function unknownVariable(value: string): string | null {
  for (const [, name = ""] of value.matchAll(VARIABLE)) {
    if (!(REQUEST_VARIABLES as readonly string[]).includes(name)) return name;
  }
  return null;
}

/** The value with its variables filled in; what a header cannot carry is percent-encoded. */
export function fillTemplate(value: string, variables: RequestVariables): string {
  return value.replace(VARIABLE, (_, name: keyof RequestVariables) => {
    const text = variables[name] ?? "";
    return SAFE.test(text) ? text : encodeURIComponent(text);
  });
}
