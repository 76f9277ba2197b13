/** The programs that a local fleet needs and does not bring along. */
import { findHaproxy } from "../haproxy.mjs";
import { findNatsServer } from "../nats-server.mjs";
import { FleetError } from "./child.mjs";

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
