/** What an expression of Prometheus' language names: metrics, and the labels that it looks at. */
import { METRICS } from "../../../src/observability/declarations.js";

const OWN = /\b(?:weir|gen_ai|process)_[a-z0-9_]+/g;
/** What Prometheus itself puts on every series, and the bound of a histogram's bucket. */
const GIVEN_LABELS = ["instance", "job", "le"];
const SUFFIX = /_(?:bucket|sum|count)$/;

interface Named {
  readonly metrics: string[];
  readonly labels: string[];
}

/** Metrics stand outside of braces, of `by (…)` and of quotes; labels inside. */
export function namedIn(expression: string): Named {
  const labels: string[] = [];
  const rest = expression
    .replace(/"(?:[^"\\]|\\.)*"/g, '""')
    .replace(/\b(?:by|without|on|ignoring)\s*\(([^)]*)\)/g, (_all, list: string) => {
      labels.push(...list.split(",").map((label) => label.trim()));
      return " ";
    })
    .replace(/\{([^}]*)\}/g, (_all, list: string) => {
      labels.push(...[...list.matchAll(/([a-z_]+)\s*(?:=~|!~|!=|=)/g)].map((match) => match[1] ?? ""));
      return " ";
    });
  return { metrics: rest.match(OWN) ?? [], labels };
}

/** What an expression names that the gateway does not have: metrics, and labels of none of them. */
export function unknownIn(expression: string): string[] {
  const { metrics, labels } = namedIn(expression);
  const declared = (name: string) => (METRICS as Record<string, { type: string; labels: readonly string[] }>)[name];
  const known = metrics.map((name) => {
    const base = declared(name.replace(SUFFIX, ""));
    return SUFFIX.test(name) && base?.type === "histogram" ? base : declared(name);
  });
  const allowed = new Set([...GIVEN_LABELS, ...known.flatMap((row) => row?.labels ?? [])]);
  return [
    ...metrics.filter((_name, index) => known[index] === undefined),
    ...labels.filter((label) => label !== "" && !allowed.has(label)),
  ];
}
