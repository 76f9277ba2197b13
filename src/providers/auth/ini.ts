/** Files in the ini form of AWS: sections of `name = value` lines; `#` and `;` begin a comment. */

export type Sections = ReadonlyMap<string, ReadonlyMap<string, string>>;

const SECTION = /^\[([^\]]*)\]/;

/** Sections by name; nested values (indented lines under an empty one) are left out. Never throws. */
export function parseIni(text: string): Sections {
  const sections = new Map<string, Map<string, string>>();
  let current: Map<string, string> | null = null;
  for (const line of text.replace(/^\uFEFF/, "").split(/\r?\n/)) {
    if (line.trim() === "" || /^\s*[#;]/.test(line)) continue;
    const header = SECTION.exec(line);
    if (header !== null) {
      const name = (header[1] as string).trim().replace(/\s+/g, " ");
      current = sections.get(name) ?? new Map();
      sections.set(name, current);
      continue;
    }
    const equals = line.indexOf("=");
    if (current === null || equals < 0 || /^\s/.test(line)) continue;
    // A comment behind a value begins after white space; secrets may hold these characters themselves.
    const value = line.slice(equals + 1).replace(/\s[#;].*$/, "");
    current.set(line.slice(0, equals).trim().toLowerCase(), value.trim());
  }
  return sections;
}
