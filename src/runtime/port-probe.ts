/** Is an address free? Acceptors share their port, so a second gateway on it would go unnoticed. */
import { type AddressInfo, createServer } from "node:net";

/** Tries to listen alone on the address, and lets go of it. Port 0 is always free. */
export function isFree(host: string, port: number): Promise<boolean> {
  if (port === 0) return Promise.resolve(true);
  return new Promise((done) => {
    const probe = createServer();
    probe.once("error", () => done(false));
    probe.listen({ host, port, exclusive: true }, () => probe.close(() => done(true)));
  });
}

/**
 * A port of the host that nobody has, or 0 when none can be had. Several acceptors share a port only when each
 * of them asks for it by its number: uSockets leaves SO_REUSEPORT off for port 0.
 */
export function freePort(host: string): Promise<number> {
  return new Promise((done) => {
    const probe = createServer();
    probe.once("error", () => done(0));
    probe.listen({ host, port: 0, exclusive: true }, () => {
      const { port } = probe.address() as AddressInfo;
      probe.close(() => done(port));
    });
  });
}
