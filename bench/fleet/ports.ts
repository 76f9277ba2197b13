/**
 * Ports that stay the rig's own while what listens on them is away: below those that the system gives to connections
 * going out, so that none of the many connections of a run takes the port of a node that has just been killed.
 */
import { createServer } from "node:net";

const FIRST = 12_000;
const COUNT = 18_000;
const TRIES = 100;
const given = new Set<number>();

/** A port of loopback that nothing listens on, never the same twice. */
export async function ownPort(): Promise<number> {
  for (let attempt = 0; attempt < TRIES; attempt += 1) {
    const port = FIRST + Math.floor(Math.random() * COUNT);
    if (given.has(port) || !(await isFree(port))) continue;
    given.add(port);
    return port;
  }
  throw new Error(`no free port from ${FIRST} to ${FIRST + COUNT}`);
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(false));
    server.listen(port, "127.0.0.1", () => server.close(() => resolve(true)));
  });
}
