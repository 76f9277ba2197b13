/** Finds HAProxy for the local fleet; where there is none, `npm test` fetches Debian's packages for it. */
import { chmodSync, existsSync, readdirSync, writeFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import { fetchPackages, findProgram, outputOf, unpackedFolder } from "./debian-packages.mjs";

const UNPACKED = unpackedFolder("haproxy");

/** Path of HAProxy: on the PATH, where systems put it, or fetched by `fetchHaproxy`; null = none. */
export function findHaproxy(path = process.env.PATH ?? "") {
  return findProgram("haproxy", [...path.split(delimiter), "/usr/sbin", "/usr/local/sbin", UNPACKED]);
}

/** Fetches HAProxy and the libraries that this system lacks, if it knows them; the path, or null. Needs no rights. */
export async function fetchHaproxy() {
  const names = await missingPackages();
  if (names === null || !(await fetchPackages("haproxy", names))) return null;
  const folders = ["lib", "usr/lib"].map((folder) => join(UNPACKED, folder)).filter(existsSync);
  const libraries = folders.flatMap((folder) => [folder, ...readdirSync(folder).map((name) => join(folder, name))]);
  const script = join(UNPACKED, "haproxy");
  const program = join(UNPACKED, "usr", "sbin", "haproxy");
  // exec: the process that was started is the one that is ended.
  writeFileSync(script, `#!/bin/sh\nLD_LIBRARY_PATH='${libraries.join(":")}' exec '${program}' "$@"\n`);
  chmodSync(script, 0o755);
  return (await outputOf(script, ["-v"])) === null ? null : script;
}

/** HAProxy's package, and the libraries behind it that are not installed. */
async function missingPackages() {
  const only = ["recommends", "suggests", "conflicts", "breaks", "replaces", "enhances", "pre-depends"];
  const args = ["depends", "--recurse", ...only.map((kind) => `--no-${kind}`), "haproxy"];
  const tree = await outputOf("apt-cache", args);
  if (tree === null) return null;
  const libraries = [...new Set(tree.match(/^lib\S+/gm))];
  const installed = await Promise.all(libraries.map((name) => outputOf("dpkg-query", ["-W", name])));
  // Of two that do the same, the one without systemd is in nobody's way only when it is left out.
  return ["haproxy", ...libraries.filter((name, at) => installed[at] === null && !name.startsWith("libelogind"))];
}
