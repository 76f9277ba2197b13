/** The load itself: closed-loop connections over raw sockets, one run of a LoadPlan. */
import { connect, type Socket } from "node:net";
import { type AnswerCheck, answerChecks } from "./answer-check.js";
import { Histogram } from "./histogram.js";
import type { LoadPlan, LoadResult } from "./plan.js";
import { type Consumption, consumptionBetween, takeSnapshot, type UseSnapshot } from "./process-use.js";
import { ResponseParser, type ResponseSink } from "./response-parser.js";

/** A run with more failures than this says nothing; it ends at once. */
const GIVE_UP_AFTER = 200;
const FAILURE_EXAMPLES = 5;
const RECONNECT_MS = 20;

/** All sockets read into this buffer: every read is used up before the next one begins. */
const readBuffer = Buffer.allocUnsafe(65_536);

interface Tally {
  readonly latency: Histogram;
  readonly firstByte: Histogram;
  readonly gaps: Histogram;
  completed: number;
  events: number;
  failures: number;
  reconnects: number;
  readonly failureExamples: string[];
}

type Phase = "warm-up" | "window" | "drain" | "over";

/** Runs the plan to its end; never rejects for what a server does: that is counted in `failures`. */
export function runLoad(plan: LoadPlan): Promise<LoadResult> {
  return new Promise((resolve) => {
    const run = new LoadRun(plan, resolve);
    setTimeout(() => run.start(), plan.beginAt === 0 ? 0 : Math.max(0, plan.beginAt - Date.now()));
  });
}

class LoadRun {
  readonly plan: LoadPlan;
  readonly request: Buffer;
  readonly newCheck: () => AnswerCheck;
  readonly tally: Tally = {
    latency: new Histogram(),
    firstByte: new Histogram(),
    gaps: new Histogram(),
    completed: 0,
    events: 0,
    failures: 0,
    reconnects: 0,
    failureExamples: [],
  };
  private phase: Phase = "warm-up";
  private busy = 0;
  private readonly connections: Connection[] = [];
  private readonly timers: NodeJS.Timeout[] = [];
  private windowStart: UseSnapshot | null = null;
  private consumption: Consumption | null = null;
  private readonly resolve: (result: LoadResult) => void;

  constructor(plan: LoadPlan, resolve: (result: LoadResult) => void) {
    this.plan = plan;
    this.resolve = resolve;
    this.request = requestBytes(plan);
    this.newCheck = answerChecks(plan.expect);
  }

  get issuing(): boolean {
    return this.phase === "warm-up" || this.phase === "window";
  }

  get measuring(): boolean {
    return this.phase === "window";
  }

  start(): void {
    const { connections, rampMs, warmupMs, windowMs } = this.plan;
    for (let index = 0; index < connections; index++) {
      const connection = new Connection(this);
      this.connections.push(connection);
      if (rampMs === 0) connection.open();
      else this.after((index * rampMs) / connections, () => connection.open());
    }
    this.after(warmupMs, () => this.beginWindow());
    this.after(warmupMs + windowMs, () => this.endWindow());
  }

  private after(milliseconds: number, action: () => void): void {
    this.timers.push(setTimeout(action, milliseconds));
  }

  private beginWindow(): void {
    if (this.phase !== "warm-up") return;
    this.windowStart = takeSnapshot(this.plan.watch);
    this.phase = "window";
  }

  private endWindow(): void {
    if (this.phase !== "window" || this.windowStart === null) return;
    this.phase = "drain";
    this.consumption = consumptionBetween(this.windowStart, takeSnapshot(this.plan.watch), this.plan.watch);
    if (this.busy === 0) this.finish();
    else this.after(this.plan.drainMs, () => this.abandon());
  }

  private abandon(): void {
    for (const connection of this.connections) if (connection.waiting) this.fail("answer not over when the run ended");
    this.finish();
  }

  requestBegun(): void {
    this.busy++;
  }

  requestOver(): void {
    this.busy--;
    if (this.phase === "drain" && this.busy === 0) this.finish();
    else if (this.phase === "window" && this.plan.stopAfter > 0 && this.tally.completed >= this.plan.stopAfter) {
      this.endWindow();
    }
  }

  fail(reason: string): void {
    this.tally.failures++;
    const { failureExamples } = this.tally;
    if (failureExamples.length < FAILURE_EXAMPLES && !failureExamples.includes(reason)) failureExamples.push(reason);
    if (this.tally.failures > GIVE_UP_AFTER) this.finish();
  }

  private finish(): void {
    if (this.phase === "over") return;
    this.phase = "over";
    for (const timer of this.timers) clearTimeout(timer);
    for (const connection of this.connections) connection.close();
    const end = takeSnapshot(this.plan.watch);
    const used = this.consumption ?? consumptionBetween(this.windowStart ?? end, end, this.plan.watch);
    const { latency, firstByte, gaps, completed, events, failures, failureExamples, reconnects } = this.tally;
    this.resolve({
      ...used,
      completed,
      events,
      latency: latency.summary(),
      firstByte: firstByte.summary(),
      gaps: gaps.summary(),
      failures,
      failureExamples,
      reconnects,
    });
  }
}

function requestBytes(plan: LoadPlan): Buffer {
  const body = Buffer.from(plan.body);
  const lines = [`POST ${plan.path} HTTP/1.1`, `host: ${plan.host}:${plan.port}`, "content-type: application/json"];
  for (const [name, value] of Object.entries(plan.headers)) lines.push(`${name}: ${value}`);
  lines.push(`content-length: ${body.length}`, "", "");
  return Buffer.concat([Buffer.from(lines.join("\r\n"), "latin1"), body]);
}

class Connection implements ResponseSink {
  waiting = false;
  private socket: Socket | null = null;
  private parser = new ResponseParser(this);
  private readonly check: AnswerCheck;
  private readonly run: LoadRun;
  private sentAt = 0;
  private readAt = 0;
  private lastEventAt = 0;
  private eventsBefore = 0;
  private status = 0;
  private sawBody = false;
  private serverCloses = false;

  constructor(run: LoadRun) {
    this.run = run;
    this.check = run.newCheck();
  }

  open(): void {
    if (!this.run.issuing) return;
    const { host, port } = this.run.plan;
    this.parser = new ResponseParser(this);
    const onread = { buffer: readBuffer, callback: (length: number) => this.onRead(length) };
    // @types/node lists onread under connect's options only for a callback that returns a boolean.
    const socket = connect({ host, port, noDelay: true, onread });
    this.socket = socket;
    socket.on("connect", () => this.send(performance.now()));
    socket.on("error", (error) => this.lost(socket, error.message));
    socket.on("close", () => this.lost(socket, "connection closed"));
  }

  close(): void {
    const { socket } = this;
    this.socket = null;
    socket?.destroy();
  }

  private send(at: number): void {
    if (this.socket === null || !this.run.issuing) return;
    this.waiting = true;
    this.sentAt = at;
    this.lastEventAt = 0;
    this.eventsBefore = 0;
    this.sawBody = false;
    this.check.reset();
    this.run.requestBegun();
    this.socket.write(this.run.request);
  }

  private onRead(length: number): boolean {
    this.readAt = performance.now();
    try {
      this.parser.feed(readBuffer, length);
    } catch (error) {
      this.broken(error instanceof Error ? error.message : String(error));
      return true;
    }
    if (this.waiting && this.check.events > this.eventsBefore) this.noteEvents();
    return true;
  }

  private noteEvents(): void {
    this.eventsBefore = this.check.events;
    if (this.lastEventAt > 0 && this.run.measuring) this.run.tally.gaps.record(this.readAt - this.lastEventAt);
    this.lastEventAt = this.readAt;
  }

  onHead(status: number, _contentLength: number, closes: boolean): void {
    if (!this.waiting) throw new Error("answer without a request");
    this.status = status;
    this.serverCloses = closes;
  }

  onBody(bytes: Buffer, start: number, end: number): void {
    if (!this.sawBody) {
      this.sawBody = true;
      if (this.run.measuring) this.run.tally.firstByte.record(this.readAt - this.sentAt);
      if (this.status !== 200) {
        this.run.fail(`status ${this.status}: ${bytes.toString("latin1", start, Math.min(end, start + 200))}`);
      }
    }
    this.check.body(bytes, start, end);
  }

  onEnd(): void {
    this.waiting = false;
    const { tally } = this.run;
    const wrong = this.status === 200 ? this.check.verdict() : "";
    if (wrong === null) {
      if (this.run.measuring) {
        if (this.check.events > this.eventsBefore) this.noteEvents();
        tally.completed++;
        tally.events += this.check.events;
        tally.latency.record(this.readAt - this.sentAt);
      }
    } else if (this.status === 200) this.run.fail(wrong);
    else if (!this.sawBody) this.run.fail(`status ${this.status} without a body`);
    if (this.serverCloses && this.run.issuing) {
      tally.reconnects++;
      this.close();
      this.run.requestOver();
      this.open();
      return;
    }
    this.run.requestOver();
    this.send(this.readAt);
  }

  /** The server's side of the connection ended or failed by itself. */
  private lost(socket: Socket, reason: string): void {
    if (this.socket === socket) this.broken(reason);
  }

  private broken(reason: string): void {
    this.close();
    const wasWaiting = this.waiting;
    this.waiting = false;
    if (this.run.issuing || wasWaiting) this.run.fail(reason);
    if (wasWaiting) this.run.requestOver();
    if (this.run.issuing) setTimeout(() => this.open(), RECONNECT_MS);
  }
}
