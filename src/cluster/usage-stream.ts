/**
 * Brings the journal into the stream: in order, each event once, however often NATS or this node goes away. An event
 * carries its id as the message id, so what is sent twice within the stream's window is stored once. What the node
 * believes to be in the stream is checked against it at every connection, because a server that was killed may have
 * lost what it had acknowledged. Events that wait for longer than the window are looked for in the stream first.
 */
import type { Segment } from "../usage/segments.js";
import { type DrainedLine, JournalDrain } from "../usage/journal-drain.js";
import type { Connection, Live } from "./connection.js";
import { type ClusterLog, reasonOf } from "./log.js";
import { readStream } from "./stream-reader.js";
import type { FleetNames } from "./subjects.js";
import { delay, within } from "./time.js";
import { type Mark, readMarks, writeMarks } from "./usage-checkpoint.js";
import { isStored, isTooLarge } from "./usage-marks.js";
import { ensureUsageStream, type UsageStreamSettings } from "./usage-setup.js";
import { type Stored, UsageWindow } from "./usage-window.js";
import { pack } from "./wire.js";

const WINDOW = 512;
/** New events are fetched when this few are on their way, many at a time. */
const REFILL = WINDOW / 2;
const LOOK_MS = 100;
const ACK_MS = 10_000;
const CHECKPOINT_MS = 500;
const MARKS = 20;
const RETRY_MS = 250;
const LONGEST_RETRY_MS = 5_000;
/** How far behind the last mark events are looked for that may have been stored without our knowing. */
const LOOK_BEHIND = 200_000;
/** How much of a stream is looked through that does not bear out any mark. */
const LOOK_THROUGH = 1_000_000;
/** How long the thread is kept from its other work at a stretch. */
const STRETCH_MS = 5;

export interface UsageStreamOptions {
  readonly connection: Pick<Connection, "live" | "whenLive">;
  readonly names: FleetNames;
  readonly settings: UsageStreamSettings;
  readonly encoding: "json" | "msgpack";
  /** Of the journal. */
  readonly directory: string;
  /** Of the checkpoint. */
  readonly path: string;
  /** Writers of the journal that are alive. */
  readonly live: () => ReadonlySet<string>;
  readonly log: ClusterLog;
}

const NOWHERE: Stored = { sequence: 0, duplicate: false };

/** Since the start of the process. */
export interface UsageStreamCounts {
  published: number;
  /** Of these: the stream had them already. */
  duplicates: number;
  /** Rounds that ended in an error. */
  failures: number;
  /** Events that left the journal before they were in the stream. */
  lost: number;
}

export class UsageStream {
  readonly counts: UsageStreamCounts = { published: 0, duplicates: 0, failures: 0, lost: 0 };
  readonly #options: UsageStreamOptions;
  readonly #drain: JournalDrain;
  readonly #stopping = new AbortController();
  #marks: Mark[] = [];
  /** The last event that the stream has acknowledged since the last mark. */
  #last: { readonly sequence: number; readonly id: string } | null = null;
  /** Ids that are in the stream already, though nobody told us → their sequence. */
  #known: ReadonlyMap<string, number> = new Map();
  #window: UsageWindow | null = null;
  #writing: Promise<void> = Promise.resolve();
  #nextCheckpoint = 0;
  /** The journal has been read to its end: there is no use in looking before. */
  #nextLook = 0;
  #problem = "";
  #writable = true;
  #finishing = false;
  #loop: Promise<void> = Promise.resolve();

  constructor(options: UsageStreamOptions) {
    this.#options = options;
    const marks = readMarks(options.path);
    if (typeof marks === "string") {
      options.log.warn({ file: options.path, reason: marks }, "the whole journal goes into the usage stream once more");
    } else this.#marks = marks;
    this.#drain = new JournalDrain(options.directory, this.#marks.at(-1)?.positions);
  }

  /** Bytes of the journal that are not in the stream. */
  get backlogBytes(): number {
    return this.#drain.backlog();
  }

  /** Events sent and not acknowledged. */
  get inFlight(): number {
    return this.#window?.size ?? 0;
  }

  /** Why nothing goes out; "" = nothing is known to be wrong. */
  get problem(): string {
    return this.#problem;
  }

  /** Begins, and returns at once. */
  start(): void {
    this.#loop = this.#run();
  }

  /** Must this file of the journal stay? */
  wants(segment: string): boolean {
    return this.#drain.wants(segment);
  }

  /** The file goes all the same: its events are lost for the stream. */
  giveUp(segment: Segment): void {
    const lost = this.#drain.forget(segment);
    this.counts.lost += lost;
    if (lost > 0) {
      const told = { file: segment.name, events: lost };
      this.#options.log.error(told, "usage events are lost for the stream: the journal is past twice its bound");
    }
  }

  /** Sends what is there while that takes at most so long, and puts on file how far it came. Never rejects. */
  async stop(limitMs: number): Promise<void> {
    this.#finishing = true;
    if (this.#options.connection.live !== null) await within(limitMs, this.#loop);
    this.#stopping.abort();
    await within(limitMs, this.#loop);
    this.#drain.close();
    await within(limitMs, this.#checkpoint());
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopping;
    for (let failures = 1; !signal.aborted; failures += 1) {
      const live = await this.#options.connection.whenLive(signal);
      if (live === null) return;
      try {
        await this.#prepare(live);
        failures = 1;
        await this.#pump(live);
        if (this.#finishing) return;
      } catch (error) {
        if (!live.lost.aborted && !signal.aborted) this.#failed(error);
      }
      await delay(Math.min(LONGEST_RETRY_MS, RETRY_MS * failures), signal);
    }
  }

  /** Finds out where to go on. */
  async #prepare(live: Live): Promise<void> {
    const { names, settings, live: writers } = this.#options;
    const { state } = await ensureUsageStream(live.manager, names, settings);
    // What was acknowledged last is checked too.
    void this.#checkpoint();
    const hadMarks = this.#marks.length > 0;
    const mark = await this.#lastStored(live, state);
    this.#drain.rewind(mark === null && hadMarks ? new Map() : mark?.positions);
    this.#drain.refresh(writers());
    this.#nextLook = 0;
    if (mark !== null) {
      this.#known = new Map();
      if (this.#isForgotten())
        await this.#lookFor(live, mark.sequence + 1, Math.min(state.last_seq, mark.sequence + LOOK_BEHIND));
    } else if (hadMarks) {
      this.#options.log.warn(
        {},
        "the usage stream does not hold what it acknowledged: the journal is gone through anew",
      );
      await this.#lookFor(live, Math.max(state.first_seq, state.last_seq - LOOK_THROUGH), state.last_seq);
    }
  }

  /** The newest mark that the stream bears out; those that it does not are forgotten. null: it bears out none. */
  async #lastStored(live: Live, state: { first_seq: number; last_seq: number }): Promise<Mark | null> {
    const { usageStream: stream } = this.#options.names;
    const marks = [...this.#marks];
    for (let mark = marks.at(-1); mark !== undefined; mark = marks.at(-1)) {
      if (await isStored(live.manager, { stream, mark, state })) break;
      marks.pop();
    }
    this.#marks = marks;
    return marks.at(-1) ?? null;
  }

  /** Has the stream forgotten the ids of the time from which the next event is? It may have been stored unheard. */
  #isForgotten(): boolean {
    const event = this.#drain.peek()?.event ?? null;
    return event !== null && Date.parse(event.time) < Date.now() - this.#options.settings.dedupe_window_ms / 2;
  }

  /** Notes which events the stream has in these sequences. */
  async #lookFor(live: Live, from: number, until: number): Promise<void> {
    const { usageStream: stream } = this.#options.names;
    const { signal } = this.#stopping;
    const known = new Map<string, number>();
    const messages = readStream(live, { stream, from, until, headersOnly: true, signal });
    for await (const { id, sequence } of messages) known.set(id, sequence);
    this.#known = known;
  }

  /** Until the connection goes, something fails, or (when finishing) everything is out. */
  async #pump(live: Live): Promise<void> {
    const window = new UsageWindow({
      send: (line) => this.#send(live, line),
      confirm: (line, stored) => this.#confirm(line, stored),
    });
    this.#window = window;
    const over = AbortSignal.any([live.lost, this.#stopping.signal]);
    const end = (): void => window.fail(new Error("the connection was lost"));
    over.addEventListener("abort", end);
    try {
      let rest = performance.now() + STRETCH_MS;
      while (!over.aborted && window.error === null) {
        if (performance.now() >= rest) {
          await new Promise<void>((done) => setImmediate(done));
          rest = performance.now() + STRETCH_MS;
        }
        const isDry = window.size <= REFILL && !this.#refill(window);
        if (isDry && this.#finishing && window.size === 0) return;
        this.#maybeCheckpoint();
        if (window.size === 0) await delay(LOOK_MS, over);
        else await window.moved(LOOK_MS);
      }
      if (window.error !== null) throw window.error;
    } finally {
      over.removeEventListener("abort", end);
      this.#window = null;
      window.fail(null);
    }
  }

  /** False: there was nothing. */
  #refill(window: UsageWindow): boolean {
    const now = performance.now();
    if (now < this.#nextLook && !this.#finishing) return false;
    const limit = WINDOW - window.size;
    const taken = this.#take(limit);
    for (const line of taken) window.add(line, line.event !== null);
    if (taken.length < limit) this.#nextLook = now + LOOK_MS;
    return taken.length > 0;
  }

  /** The directory is looked at when the files that are known have nothing more. */
  #take(limit: number): DrainedLine[] {
    const taken = this.#drain.take(limit);
    if (taken.length === limit) return taken;
    this.#drain.refresh(this.#options.live());
    return [...taken, ...this.#drain.take(limit - taken.length)];
  }

  async #send({ js }: Live, { line, event }: DrainedLine): Promise<Stored> {
    if (event === null) throw new Error("a line without an event is not sent");
    const { names, encoding } = this.#options;
    const known = this.#known.get(event.id);
    if (known !== undefined) return { sequence: known, duplicate: true };
    const data = encoding === "json" ? Buffer.from(line) : pack(event);
    const options = { msgID: event.id, timeout: ACK_MS, expect: { streamName: names.usageStream } };
    try {
      const { seq, duplicate } = await js.publish(names.usage(event.api_key, event.model), data, options);
      return { sequence: seq, duplicate };
    } catch (error) {
      if (!isTooLarge(error)) throw error;
      // Nothing behind it would ever get out.
      this.counts.lost += 1;
      this.#options.log.error({ event: event.id, bytes: data.length }, "a usage event is too large for NATS");
      return NOWHERE;
    }
  }

  #confirm(line: DrainedLine, stored: Stored | null): void {
    this.#drain.confirm(line);
    if (stored === null || stored === NOWHERE || line.event === null) return;
    this.counts.published += 1;
    if (stored.duplicate) this.counts.duplicates += 1;
    this.#last = { sequence: stored.sequence, id: line.event.id };
    if (this.#problem !== "") {
      this.#options.log.info({}, "usage events go into the stream again");
      this.#problem = "";
    }
  }

  #failed(error: unknown): void {
    this.counts.failures += 1;
    const reason = reasonOf(error);
    if (reason !== this.#problem) this.#options.log.error({ reason }, "usage events do not get into the stream");
    this.#problem = reason;
  }

  #maybeCheckpoint(): void {
    const now = performance.now();
    if (this.#last === null || now < this.#nextCheckpoint) return;
    this.#nextCheckpoint = Number.POSITIVE_INFINITY;
    void this.#checkpoint().then(() => {
      this.#nextCheckpoint = performance.now() + CHECKPOINT_MS;
    });
  }

  /** Puts on file how far the stream has acknowledged. */
  #checkpoint(): Promise<void> {
    if (this.#last !== null) {
      const mark: Mark = { positions: new Map(this.#drain.positions), ...this.#last };
      this.#marks = [...this.#marks.slice(1 - MARKS), mark];
      this.#last = null;
      const marks = this.#marks;
      this.#writing = this.#writing.then(() => this.#write(marks));
    }
    return this.#writing;
  }

  async #write(marks: readonly Mark[]): Promise<void> {
    const { path, log } = this.#options;
    try {
      await writeMarks(path, marks);
      if (!this.#writable) log.info({ file: path }, "the place in the usage stream is kept on file again");
      this.#writable = true;
    } catch (error) {
      if (this.#writable)
        log.error({ file: path, reason: reasonOf(error) }, "the place in the usage stream is not kept");
      this.#writable = false;
    }
  }
}
