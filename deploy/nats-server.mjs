/**
 * Finds a nats-server for the tests that need a real one; where there is none, fetches Debian's package and unpacks
 * it below dist/, without touching the system. Plain Node without a dependency. Speaks on stderr only.
 */
import { delimiter, join } from "node:path";
import { fetchPackages, findProgram, unpackedFolder } from "./debian-packages.mjs";

const UNPACKED = join(unpackedFolder("nats-server"), "usr", "sbin");

/** Path of a nats-server: on the PATH, where Debian puts it, or unpacked by `fetchNatsServer`; null = none. */
export function findNatsServer(path = process.env.PATH ?? "") {
  return findProgram("nats-server", [...path.split(delimiter), "/usr/sbin", "/usr/local/bin", UNPACKED]);
}

/** Fetches Debian's package, if this system knows it; answers the path, or null. Needs no rights. */
export async function fetchNatsServer() {
  if (!(await fetchPackages("nats-server", ["nats-server"]))) return null;
  return findProgram("nats-server", [UNPACKED]);
}
