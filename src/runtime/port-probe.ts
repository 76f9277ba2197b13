/** Is an address free? Acceptors share their port, so a second gateway on it would go unnoticed. */
import { createServer } from "node:net";

/** Tries to listen alone on the address, and lets go of it. Port 0 is always free. */
export function isFree(host: string, port: number): Promise<boolean> {
  if (port === 0) return Promise.resolve(true);
  return new Promise((done) => {
    const probe = createServer();
    probe.once("error", () => done(false));
    probe.listen({ host, port, exclusive: true }, () => probe.close(() => done(true)));
  });
}
