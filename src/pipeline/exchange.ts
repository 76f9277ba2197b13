/** One request's state from its headers to its settlement. Every exchange has the same shape, whatever its way. */
import type { Recording } from "../cache/recording.js";
import type { ApiKeyResource } from "../config/resources.js";
import type { Passage } from "../config/passthrough-index.js";
import type { CallerKey, ResolvedModel, Snapshot } from "../config/snapshot.js";
import type { Dialect, Operation, RequestView } from "../dialects/dialect.js";
import type { Failure } from "../errors.js";
import type { Plan } from "../routing/plan.js";
import type { Lease } from "../quota/lease.js";
import type { UsageEvent } from "../usage/event.js";
import type { Outgoing } from "./outgoing.js";
import type { KeepingTurn } from "./kept-turns.js";
import type { Continuation } from "./continuation.js";
import type { Succession } from "./succession.js";
import type { Screening } from "./screening.js";
import type { Sink } from "./sink.js";

/** A row of the route table: what a method and a path mean. */
export interface Route {
  readonly method: "POST" | "GET" | "PUT" | "PATCH" | "DELETE" | "ANY";
  readonly path: string;
  readonly operation: Operation;
  /** The caller's dialect: of the request, the answer and every error. */
  readonly dialect: Dialect;
}

/** A dialect and what is asked in it. */
export interface Speech {
  readonly operation: Operation;
  readonly dialect: Dialect;
}

/** What the gateway reads of the request's headers; everything else is dropped. */
export interface RequestHeaders {
  /** Keys as presented, in the order in which they are tried. */
  readonly presentedKeys: readonly string[];
  readonly userAgent: string;
  readonly forwardedFor: string;
  /** The model from a header, which overrides the body's; "" = none. */
  readonly model: string;
  /** The provider key or provider that a header names; "" = none. */
  readonly provider: string;
  readonly contentEncoding: string;
  /** As it came; "" = not given. */
  readonly contentType: string;
  /** The caller would rather be refused than lose a part of the request in translation. */
  readonly strict: boolean;
  /** Value of `cache-control`, in lower case; "" = none. */
  readonly cacheControl: string;
  /** -1 when not given. */
  readonly contentLength: number;
  /** Headers that go on to the upstream: names and values alternate. */
  readonly passed: readonly string[];
  /** The other headers, kept only where some upstream may get them: names and values alternate. */
  readonly others: readonly string[];
  /** Headers that cannot be accepted at all. */
  readonly problem: Failure | null;
}

/** Something that runs after the stages have returned: an attempt at an upstream. */
export interface WorkUnderWay {
  /** The client has gone: stop at once, and settle. */
  cancel(): void;
  /** Called a few times a second: deadlines, keep-alive comments, clients that stopped reading. */
  tick(now: number): void;
}

export const EMPTY_BODY = Buffer.alloc(0);

export class Exchange {
  readonly id: string;
  readonly route: Route;
  readonly method: string;
  readonly path: string;
  /** Without its question mark; "" = none. May hold a secret: never logged. */
  readonly query: string;
  /** The part of the path that a route leaves open (a model's name), unescaped; "" = none. */
  readonly pathParameter: string;
  readonly headers: RequestHeaders;
  readonly clientAddress: string;
  sink: Sink;
  /** The configuration this exchange lives with from beginning to end. */
  readonly snapshot: Snapshot;
  /** Milliseconds: monotonic and wall clock. */
  readonly startedAt: number;
  readonly startedAtWall: number;

  /** The methods that the path takes, where that is the answer. */
  allow = "";
  /** Made by the gateway for itself: part of a caller's request, or of none. */
  inner = false;
  /** The request that an inner one is part of. */
  parent: Exchange | null = null;
  /** The body is the gateway's own: it is put into the words of each target, also of one that speaks the dialect. */
  writtenHere = false;
  /** An inner one that is a part of its parent's own request, to the same model. */
  isPart = false;
  /** Where it stands among the exchanges under way. */
  place = -1;
  body: Buffer = EMPTY_BODY;
  /** Bytes of the body counted against the node's memory for bodies. */
  bodyMemory = 0;
  key: CallerKey | null = null;
  view: RequestView | null = null;
  model: ResolvedModel | null = null;
  /** Where the request may go; null where the gateway answers itself. */
  plan: Plan | null = null;
  /** The request that goes out, where a provider key and not a model gets it; null = made for each target. */
  outgoing: Outgoing | null = null;
  /** The configured route by which a raw request came; null = none. */
  passage: Passage | null = null;
  /** Ids of the request as its upstream knows them → as the caller does; null = none were put in. */
  restoredIds: ReadonlyMap<string, string> | null = null;
  /** The gateway keeps the answer, where its provider does not; null = it does not. */
  turn: KeepingTurn | null = null;
  /** What a raw request speaks, as far as its path tells; null = what its route says. */
  spoken: Speech | null = null;
  /** The targets' own limits are asked for each attempt: the admission knew only the name before them. */
  limitsTargets = false;
  /** Room under the limits of the next attempt's own target; the attempt takes it over. */
  targetLease: Lease | null = null;
  lease: Lease | null = null;
  /** Room under the limits of the model that was chosen for this request while it was under way; null = it has none. */
  chosenLease: Lease | null = null;
  /** What takes over where an attempt fails before its answer begins; null = nothing does. */
  succession: Succession | null = null;
  /** A broken text stream goes on at the next target; null = it ends with an error. */
  continuation: Continuation | null = null;
  /** When the whole request must be over, on the monotonic clock; attempts never add up past it. */
  deadline = Number.POSITIVE_INFINITY;
  cache: "hit" | "miss" | "bypass" = "bypass";
  /** Takes the answer down for the cache; null = it is not kept, and nobody waits for it. */
  recording: Recording | null = null;
  attempts = 0;
  status = 0;
  /** Code of the error table, or "upstream_error" for an upstream's own; "" = none. */
  error = "";
  /** Bytes of the answer's body handed to the client. */
  responseBytes = 0;
  firstByteAt = 0;
  /** The client left before the answer's end. */
  clientGone = false;
  settled = false;
  /** Tokens of all attempts so far. */
  tokensUsed = 0;
  /** Micro-dollars of all attempts so far, those of its inner exchanges included. */
  microsUsed = 0;
  /** The guardrails that concern it; null = none. */
  screening: Screening | null = null;
  /** The stage that runs, as an index into the list of stages. */
  stage = 0;
  /** The last attempt's usage event. */
  usage: UsageEvent | null = null;
  /** Told when an inner exchange has been settled; null = nobody waits for it. */
  whenSettled: (() => void) | null = null;
  /** What is under way for this exchange; set by the stage that starts something. */
  work: WorkUnderWay | null = null;

  constructor(route: Route, request: RequestLine, headers: RequestHeaders, surroundings: Surroundings) {
    this.id = surroundings.id;
    this.route = route;
    this.method = request.method;
    this.path = request.path;
    this.query = request.query ?? "";
    this.pathParameter = request.pathParameter;
    this.headers = headers;
    this.clientAddress = surroundings.clientAddress;
    this.sink = surroundings.sink;
    this.snapshot = surroundings.snapshot;
    this.startedAt = surroundings.now;
    this.startedAtWall = surroundings.nowWall;
  }

  /** What request and answer are read as. */
  get speech(): Speech {
    return this.spoken ?? this.route;
  }

  get keyResource(): ApiKeyResource | null {
    return this.key === null ? null : this.key.resource;
  }
}

export interface RequestLine {
  /** In lower case. */
  readonly method: string;
  readonly path: string;
  readonly pathParameter: string;
  readonly query?: string;
}

export interface Surroundings {
  readonly id: string;
  readonly clientAddress: string;
  readonly sink: Sink;
  readonly snapshot: Snapshot;
  readonly now: number;
  readonly nowWall: number;
}
