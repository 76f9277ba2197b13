/**
 * The scripted upstream as its own process: `node --import tsx bench/load/upstream.ts`. Writes {"port":N} when it
 * listens on a free loopback port. It parses nothing but the model's name, and serves prepared bytes, so that it is
 * not what the rig measures.
 */
import uws, { type HttpResponse } from "uWebSockets.js";
import { type Script, SURFACE_PATHS, type Surface, scriptOf, streamEvents, wholeAnswer } from "./answers.js";

interface PreparedAnswer {
  readonly script: Script;
  readonly whole: Buffer;
  readonly events: readonly Buffer[];
}

interface PacedStream {
  readonly response: HttpResponse;
  readonly answer: PreparedAnswer;
  next: number;
  dueTick: number;
  aborted: boolean;
}

const prepared = new Map<string, PreparedAnswer>();

function prepare(surface: Surface, model: string, withUsage: boolean): PreparedAnswer {
  const key = `${surface} ${model} ${withUsage}`;
  const known = prepared.get(key);
  if (known !== undefined) return known;
  const script = scriptOf(model);
  const answer: PreparedAnswer = {
    script,
    whole: Buffer.from(wholeAnswer(surface, model)),
    events:
      script.kind === "whole" ? [] : streamEvents(surface, model, script.deltas, withUsage).map((e) => Buffer.from(e)),
  };
  prepared.set(key, answer);
  return answer;
}

const MODEL_FIELD = Buffer.from('"model"');
const USAGE_FIELD = Buffer.from('"include_usage"');

/** A body with an escaped quote before its model field would fool this; the rig sends none. */
function modelName(body: Buffer): string {
  const field = body.indexOf(MODEL_FIELD);
  const open = field < 0 ? -1 : body.indexOf(34, field + MODEL_FIELD.length);
  const close = open < 0 ? -1 : body.indexOf(34, open + 1);
  return close < 0 ? "whole" : body.toString("latin1", open + 1, close);
}

function asksForUsage(body: Buffer): boolean {
  const field = body.indexOf(USAGE_FIELD);
  if (field < 0) return false;
  let at = field + USAGE_FIELD.length;
  while (body[at] === 32 || body[at] === 58) at++;
  return body[at] === 116;
}

const SLOTS = 1024;
/** A timing wheel of 1 ms slots: one timer for all paced streams. */
const wheel: PacedStream[][] = Array.from({ length: SLOTS }, () => []);
let wheelTimer: NodeJS.Timeout | null = null;
let wheelStreams = 0;
let tick = 0;

function now(): number {
  return Math.floor(performance.now());
}

function schedule(stream: PacedStream, at: number): void {
  stream.dueTick = Math.min(Math.max(at, tick + 1), tick + SLOTS - 1);
  (wheel[stream.dueTick % SLOTS] as PacedStream[]).push(stream);
}

function startPaced(response: HttpResponse, answer: PreparedAnswer): PacedStream {
  const stream: PacedStream = { response, answer, next: 0, dueTick: 0, aborted: false };
  if (wheelTimer === null) {
    tick = now();
    wheelTimer = setInterval(turnWheel, 1);
  }
  wheelStreams++;
  response.cork(() => response.writeHeader("content-type", "text/event-stream"));
  const at = now();
  step(stream, at, at);
  return stream;
}

function turnWheel(): void {
  const until = now();
  while (tick < until) {
    tick++;
    const slot = wheel[tick % SLOTS] as PacedStream[];
    if (slot.length === 0) continue;
    wheel[tick % SLOTS] = [];
    for (const stream of slot) step(stream, tick, until);
  }
  if (wheelStreams === 0 && wheelTimer !== null) {
    clearInterval(wheelTimer);
    wheelTimer = null;
  }
}

/**
 * Writes the event that is due at `at`, and with it those that fell due up to `until`: an upstream that is late
 * catches up with fewer writes instead of falling further behind.
 */
function step(stream: PacedStream, at: number, until: number): void {
  const { events, script } = stream.answer;
  if (stream.aborted) {
    wheelStreams--;
    return;
  }
  let due = at;
  stream.response.cork(() => {
    do {
      stream.response.write(events[stream.next++] as Buffer);
      due += script.gapMs;
    } while (due <= until && stream.next < script.deltas);
    if (stream.next < script.deltas) return;
    // The last delta comes with what ends the stream.
    while (stream.next < events.length) stream.response.write(events[stream.next++] as Buffer);
    stream.response.end();
  });
  if (stream.next < script.deltas) schedule(stream, due);
  else {
    stream.aborted = true;
    wheelStreams--;
  }
}

function answerBody(response: HttpResponse, surface: Surface, body: Buffer): PacedStream | null {
  const answer = prepare(surface, modelName(body), asksForUsage(body));
  if (answer.script.kind === "paced") return startPaced(response, answer);
  response.cork(() => {
    if (answer.script.kind === "whole") {
      response.writeHeader("content-type", "application/json");
      response.end(answer.whole);
      return;
    }
    response.writeHeader("content-type", "text/event-stream");
    for (const event of answer.events) response.write(event);
    response.end();
  });
  return null;
}

function serve(response: HttpResponse, surface: Surface): void {
  let earlier: Buffer[] | null = null;
  let paced: PacedStream | null = null;
  response.onAborted(() => {
    if (paced !== null) paced.aborted = true;
  });
  response.onData((chunk, isLast) => {
    if (!isLast) {
      earlier ??= [];
      // The chunk's memory is the server's again when this call ends.
      earlier.push(Buffer.from(Buffer.from(chunk)));
      return;
    }
    const last = Buffer.from(chunk);
    paced = answerBody(response, surface, earlier === null ? last : Buffer.concat([...earlier, last]));
  });
}

const app = uws.App();
for (const surface of Object.keys(SURFACE_PATHS) as Surface[]) {
  app.post(SURFACE_PATHS[surface], (response) => serve(response, surface));
}
app.any("/*", (response) => {
  response.writeStatus("404 Not Found").end("no such path");
});
app.listen("127.0.0.1", 0, (socket) => {
  if (socket === false) throw new Error("the upstream cannot listen");
  process.stdout.write(`${JSON.stringify({ port: uws.us_socket_local_port(socket) })}\n`);
});
