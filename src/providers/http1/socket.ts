/** Sockets to one origin: TCP, or TLS with sessions that are resumed. */
import { connect as connectTcp, isIP, type Socket } from "node:net";
import { connect as connectTls, type ConnectionOptions, type TLSSocket } from "node:tls";
import type { UpstreamTls } from "../upstream.js";
import type { OpenSocket, SocketEvents } from "./connection.js";

const READ_BYTES = 65_536;
/** Silence after which the kernel asks whether the upstream is still there, milliseconds. */
const PROBE_AFTER_MS = 60_000;

/** One read is over before the next begins, and nobody keeps what was lent: all sockets of a thread share it. */
const LENT = Buffer.allocUnsafeSlow(READ_BYTES);
/** Only there does a read begin before the one of another socket is over. */
const READS_OVERLAP = process.platform === "win32";

/** `origin`: "https://host:port". `tls`: how far to trust; null = as the system does. */
export function socketsTo(origin: string, tls: UpstreamTls | null): OpenSocket {
  const { protocol, hostname, port } = new URL(origin);
  const host = hostname.startsWith("[") ? hostname.slice(1, -1) : hostname;
  const secure = protocol === "https:";
  const place = { host, port: Number(port || (secure ? 443 : 80)) };
  return secure ? secureSockets(place, tls) : (events) => openPlain(place, events);
}

interface Place {
  readonly host: string;
  readonly port: number;
}

function openPlain(place: Place, events: SocketEvents): Socket {
  const onread = {
    buffer: READS_OVERLAP ? Buffer.allocUnsafeSlow(READ_BYTES) : LENT,
    callback: (length: number, bytes: Uint8Array) => {
      events.onBytes(bytes as Buffer, length, true);
      return true;
    },
  };
  const options = { ...place, noDelay: true, keepAlive: true, keepAliveInitialDelay: PROBE_AFTER_MS, onread };
  const socket = connectTcp(options);
  socket.once("connect", () => events.onReady());
  return socket;
}

/** Opens TLS sockets; a session that the upstream has offered saves the next one half of its handshake. */
function secureSockets(place: Place, tls: UpstreamTls | null): OpenSocket {
  let session: Buffer | undefined;
  const trust: ConnectionOptions =
    tls === null ? {} : { rejectUnauthorized: tls.verify, ...(tls.caCert === null ? {} : { ca: tls.caCert }) };
  return (events) => {
    const socket: TLSSocket = connectTls({
      ...place,
      ...trust,
      ...(isIP(place.host) === 0 ? { servername: place.host } : {}),
      ...(session === undefined ? {} : { session }),
      ALPNProtocols: ["http/1.1"],
    });
    socket.setNoDelay(true);
    socket.setKeepAlive(true, PROBE_AFTER_MS);
    socket.on("session", (offered) => {
      session = offered;
    });
    let secure = false;
    socket.once("secureConnect", () => {
      secure = true;
      events.onReady();
    });
    socket.once("error", () => {
      session = undefined;
    });
    // A handshake that was given up without an error may have been stuck for the session's sake.
    socket.once("close", () => {
      if (!secure) session = undefined;
    });
    socket.on("data", (bytes: Buffer) => events.onBytes(bytes, bytes.length, false));
    return socket;
  };
}
