/** The two logs: what happens in the gateway (pino), and one line a request (written by hand, for speed). */
import { pino } from "pino";
import { milliseconds, number, quote, quoteCut, SharedText } from "../usage/json-text.js";
import type { LogSink } from "./log-sink.js";
import { redactFields, redactText } from "./redact.js";

export type LogLevel = "fatal" | "error" | "warn" | "info" | "debug" | "trace" | "silent";

export type Logger = pino.Logger;

export interface LoggerOptions {
  readonly level: LogLevel;
  /** Takes one JSON line with its end. */
  readonly write: (line: string) => void;
  /** Members of every line: the thread's name, the node's. */
  readonly bindings?: Readonly<Record<string, string | number>>;
}

/** A logger of JSON lines with RFC 3339 times in UTC; credentials are blanked out by name and by look. */
export function createLogger(options: LoggerOptions): Logger {
  const logger = pino(
    {
      level: options.level,
      base: options.bindings ?? {},
      timestamp: () => `,"time":"${new Date().toISOString()}"`,
      formatters: {
        level: (label) => ({ level: label }),
        bindings: redactFields,
        log: redactFields,
      },
      // The fields are plain already when serializers run; pino's own would look for an Error.
      serializers: { err: (value: unknown) => value },
    },
    { write: (line: string) => options.write(redactText(line)) },
  );
  // pino leaves the bindings of children to themselves; children inherit this method in turn.
  type MakeChild = (this: Logger, bindings: pino.Bindings, options?: object) => Logger;
  const makeChild = logger.child as unknown as MakeChild;
  const child: MakeChild = function (bindings, childOptions) {
    return makeChild.call(this, redactFields(bindings), childOptions);
  };
  logger.child = child as unknown as typeof logger.child;
  return logger;
}

/** What the access log says of one request. Counts of -1 are unknown and come out as null. */
export interface AccessFields {
  /** The request's end, milliseconds since the epoch. */
  readonly time: number;
  readonly request_id: string;
  readonly method: string;
  /** A query, if there is one, is left out: it may hold a key. */
  readonly path: string;
  readonly status: number;
  readonly duration_ms: number;
  /** Milliseconds to the first byte of the upstream's body; 0 = none came. */
  readonly ttft_ms: number;
  /** Display name of the caller's key. */
  readonly key: string;
  readonly model: string;
  readonly upstream_model: string;
  readonly provider: string;
  readonly operation: string;
  readonly input_tokens: number;
  readonly output_tokens: number;
  readonly estimated: boolean;
  readonly client_address: string;
  readonly user_agent: string;
  /** Code of the error table; "" = none. */
  readonly error: string;
  readonly bytes_in: number;
  readonly bytes_out: number;
  readonly attempts: number;
  readonly cache: string;
}

const TEXT_LIMIT = 256;
const PATH_LIMIT = 512;

/** Times of one second share their first nineteen characters; formatting a date costs more than the rest. */
let secondOfText = Number.NaN;
let secondText = "";

/** Milliseconds since the epoch as RFC 3339 with milliseconds, UTC. Throws RangeError beyond the year 275760. */
export function timeText(time: number): string {
  const whole = Math.floor(time);
  const second = Math.floor(whole / 1000);
  if (second !== secondOfText) {
    secondText = new Date(second * 1000).toISOString().slice(0, -4);
    secondOfText = second;
  }
  const rest = whole - second * 1000;
  return `${secondText}${rest < 10 ? "00" : rest < 100 ? "0" : ""}${rest}Z`;
}

function pathOnly(path: string): string {
  const query = path.indexOf("?");
  return query < 0 ? path : path.slice(0, query);
}

function count(value: number): number | null {
  return value < 0 ? null : number(value);
}

function levelOf(status: number): string {
  return status >= 500 ? "warn" : "info";
}

/** The request as one JSON line, without its end. Texts of foreign origin are escaped and cut; its id is our own. */
export function accessLine(fields: AccessFields): string {
  return `{"time":"${timeText(fields.time)}","level":"${levelOf(fields.status)}","msg":"request","request_id":"${fields.request_id}"${ASKED.of(fields.path, fields)}${number(fields.status)},"duration_ms":${milliseconds(fields.duration_ms)},"ttft_ms":${milliseconds(fields.ttft_ms)}${SERVED.of(fields.model, fields)}${count(fields.input_tokens)},"output_tokens":${count(fields.output_tokens)},"estimated":${fields.estimated}${CLIENT.of(fields.client_address, fields)}${quoteCut(fields.error, TEXT_LIMIT)},"bytes_in":${number(fields.bytes_in)},"bytes_out":${number(fields.bytes_out)},"attempts":${number(fields.attempts)},"cache":${quote(fields.cache)}}`;
}

const ASKED = new SharedText<AccessFields>({
  write: ({ method, path }) =>
    `,"method":${quoteCut(method, 16)},"path":${quoteCut(pathOnly(path), PATH_LIMIT)},"status":`,
  same: (kept, { method, path }) => kept.method === method && kept.path === path,
  longest: ({ path }) => path.length,
});

const SERVED = new SharedText<AccessFields>({
  write: (fields) =>
    `,"key":${quote(fields.key)},"model":${quoteCut(fields.model, TEXT_LIMIT)},"upstream_model":${quoteCut(fields.upstream_model, TEXT_LIMIT)},"provider":${quote(fields.provider)},"operation":${quote(fields.operation)},"input_tokens":`,
  same: (kept, fields) =>
    kept.key === fields.key &&
    kept.model === fields.model &&
    kept.upstream_model === fields.upstream_model &&
    kept.provider === fields.provider &&
    kept.operation === fields.operation,
  longest: ({ model }) => model.length,
});

const CLIENT = new SharedText<AccessFields>({
  write: (fields) =>
    `,"client_address":${quoteCut(fields.client_address, TEXT_LIMIT)},"user_agent":${quoteCut(fields.user_agent, TEXT_LIMIT)},"error":`,
  same: (kept, fields) => kept.client_address === fields.client_address && kept.user_agent === fields.user_agent,
  longest: ({ client_address, user_agent }) => Math.max(client_address.length, user_agent.length),
});

/** Writes one line a request into a sink. */
export class AccessLog {
  readonly #sink: LogSink;

  constructor(sink: LogSink) {
    this.#sink = sink;
  }

  write(fields: AccessFields): void {
    this.#sink.write(accessLine(fields));
  }
}
