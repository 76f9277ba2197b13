/** Requests of the table of controls that are looked at while they are under way. */
import { type IncomingMessage, request } from "node:http";
import { until } from "./gateway.js";
import { contentOf, keyOf, type Sending, type Table, upstreamName } from "./table-gateway.js";
import type { Row } from "./table-surfaces.js";

export interface Ended {
  readonly status: number;
  readonly text: string;
  /** The answer came to the end that its framing announced. */
  readonly whole: boolean;
}

export interface Open {
  /** Resolves when the upstream has been asked and, of a stream, when its first bytes are here. */
  underWay(): Promise<void>;
  ended(): Promise<Ended>;
  /** Closes the connection under the answer. */
  leave(): void;
}

/** Sends a request that its upstream will hold. */
export function openStream({ gateway, upstream }: Table, row: Row, sending: Sending): Open {
  const content = contentOf(row, sending);
  if (content === null) throw new Error("the row has no body");
  const { type, bytes, query = "" } = content;
  const framing = bytes === "" ? {} : { "content-type": type, "content-length": bytes.length };
  const outgoing = request(gateway.url + row.path + query, {
    method: row.method,
    agent: false,
    headers: {
      authorization: `Bearer ${keyOf(row, sending.key ?? "plain")}`,
      ...framing,
      ...row.headers,
      ...sending.headers,
    },
  });
  // Leaving resets the connection under the client's own feet.
  outgoing.on("error", () => {});
  const answered = new Promise<IncomingMessage>((resolve) => outgoing.once("response", resolve));
  let text = "";
  const ended = answered.then(
    (response) =>
      new Promise<Ended>((resolve) => {
        response.setEncoding("utf8").on("data", (part: string) => {
          text += part;
        });
        response.on("error", () => {});
        response.once("close", () => resolve({ status: response.statusCode ?? 0, text, whole: response.complete }));
      }),
  );
  const name = upstreamName(row, sending.model ?? "plain");
  const before = upstream.bodies(name).length;
  outgoing.end(bytes);
  return {
    underWay: async () => {
      await until(() => upstream.bodies(name).length > before && (!row.stream || text !== ""));
    },
    ended: () => ended,
    leave: () => outgoing.destroy(),
  };
}
