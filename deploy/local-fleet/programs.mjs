/** The programs that a local fleet needs and does not bring along. */
import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";
import { findNatsServer } from "../nats-server.mjs";
import { FleetError } from "./child.mjs";

function isExecutable(path) {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** Path of HAProxy: on the PATH, or where systems put it; null = none. */
export function findHaproxy(path = process.env.PATH ?? "") {
  const folders = [...path.split(delimiter), "/usr/sbin", "/usr/local/sbin"];
  return folders.map((folder) => join(folder, "haproxy")).find(isExecutable) ?? null;
}

/**
 * @returns {{ "nats-server": string, haproxy: string }}
 * @throws {FleetError} that says how to install what is missing.
 */
export function findPrograms(found = { "nats-server": findNatsServer(), haproxy: findHaproxy() }) {
  const missing = Object.keys(found).filter((name) => found[name] === null);
  if (missing.length === 0) return found;
  throw new FleetError(
    `there is no ${missing.join(" and no ")} here; on Debian and Ubuntu: apt-get install ${missing.join(" ")}`,
  );
}
