/** Routing tags: which targets a request asks for by its header. Pure. */

/** The tag of the targets for requests that ask for none, or for none that there is. */
const DEFAULT_TAG = "default";

interface Tagged {
  readonly tags: readonly string[];
}

/** The tags of a header's value: separated by commas, spaces around them do not count. */
export function parseTags(value: string): string[] {
  if (value === "") return [];
  return value
    .split(",")
    .map((tag) => tag.trim())
    .filter((tag) => tag !== "");
}

/**
 * The targets that a request's tags leave. Without tags on any target, all; with tags in the request, those that
 * have one of them, else the ones for everybody; without, the ones for everybody, else all.
 */
export function keepTagged<T extends Tagged>(targets: readonly T[], wanted: readonly string[]): readonly T[] {
  if (!targets.some((target) => target.tags.length > 0)) return targets;
  if (wanted.length > 0) {
    const asked = targets.filter((target) => target.tags.some((tag) => wanted.includes(tag)));
    if (asked.length > 0) return asked;
  }
  const forAll = targets.filter((target) => target.tags.includes(DEFAULT_TAG));
  return forAll.length > 0 || wanted.length > 0 ? forAll : targets;
}
