/** The two logs: what happens in the gateway (pino), and one line a request (written by hand, for speed). */
import { pino } from "pino";
import { type JsonLine, piece, SharedPiece } from "../usage/json-line.js";
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

/** The request as one JSON line, without its end. Texts of foreign origin are escaped and cut; its id is our own. */
export function writeAccess(line: JsonLine, fields: AccessFields): void {
  line.piece(TIME);
  line.ascii(timeText(fields.time));
  line.piece(fields.status >= 500 ? WARNED : TOLD);
  line.ascii(fields.request_id);
  line.piece(ASKED.of(fields.path, fields));
  line.number(fields.status);
  line.piece(DURATION);
  line.milliseconds(fields.duration_ms);
  line.piece(FIRST_TOKEN);
  line.milliseconds(fields.ttft_ms);
  line.piece(SERVED.of(fields.model, fields));
  writeCount(line, fields.input_tokens);
  line.piece(OUTPUT);
  writeCount(line, fields.output_tokens);
  line.piece(ESTIMATED);
  line.flag(fields.estimated);
  line.piece(CLIENT.of(fields.client_address, fields));
  line.quotedCut(fields.error, TEXT_LIMIT);
  line.piece(BYTES_IN);
  line.number(fields.bytes_in);
  line.piece(BYTES_OUT);
  line.number(fields.bytes_out);
  line.piece(ATTEMPTS);
  line.number(fields.attempts);
  line.piece(CACHE);
  line.quoted(fields.cache);
  line.piece(END);
}

const TIME = piece('{"time":"');
const TOLD = piece('","level":"info","msg":"request","request_id":"');
const WARNED = piece('","level":"warn","msg":"request","request_id":"');
const DURATION = piece(',"duration_ms":');
const FIRST_TOKEN = piece(',"ttft_ms":');
const OUTPUT = piece(',"output_tokens":');
const ESTIMATED = piece(',"estimated":');
const BYTES_IN = piece(',"bytes_in":');
const BYTES_OUT = piece(',"bytes_out":');
const ATTEMPTS = piece(',"attempts":');
const CACHE = piece(',"cache":');
const END = piece("}");

function writeCount(line: JsonLine, value: number): void {
  if (value < 0) line.ascii("null");
  else line.number(value);
}

const ASKED = new SharedPiece({
  write(line, { method, path }: AccessFields) {
    line.ascii('","method":');
    line.quotedCut(method, 16);
    line.ascii(',"path":');
    line.quotedCut(pathOnly(path), PATH_LIMIT);
    line.ascii(',"status":');
  },
  keep: ({ method, path }: AccessFields) => ({ method, path }),
  same: (kept, { method, path }) => kept.method === method && kept.path === path,
  longest: ({ path }) => path.length,
});

const SERVED = new SharedPiece({
  write(line, fields: AccessFields) {
    line.ascii(',"key":');
    line.quoted(fields.key);
    line.ascii(',"model":');
    line.quotedCut(fields.model, TEXT_LIMIT);
    line.ascii(',"upstream_model":');
    line.quotedCut(fields.upstream_model, TEXT_LIMIT);
    line.ascii(',"provider":');
    line.quoted(fields.provider);
    line.ascii(',"operation":');
    line.quoted(fields.operation);
    line.ascii(',"input_tokens":');
  },
  keep: ({ key, model, upstream_model, provider, operation }: AccessFields) => ({
    key,
    model,
    upstream_model,
    provider,
    operation,
  }),
  same: (kept, fields) =>
    kept.key === fields.key &&
    kept.model === fields.model &&
    kept.upstream_model === fields.upstream_model &&
    kept.provider === fields.provider &&
    kept.operation === fields.operation,
  longest: ({ model }) => model.length,
});

const CLIENT = new SharedPiece({
  write(line, fields: AccessFields) {
    line.ascii(',"client_address":');
    line.quotedCut(fields.client_address, TEXT_LIMIT);
    line.ascii(',"user_agent":');
    line.quotedCut(fields.user_agent, TEXT_LIMIT);
    line.ascii(',"error":');
  },
  keep: ({ client_address, user_agent }: AccessFields) => ({ client_address, user_agent }),
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
    this.#sink.writeIn(writeAccess, fields);
  }
}
