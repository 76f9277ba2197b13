/**
 * Who is in the fleet. Every node tells the others once a second that it lives and what it carries; who has not been
 * heard of for three of these is gone, and who ends says so. While NATS is away nobody can be heard, so nobody is
 * taken for gone: the members are then those that were last known.
 */
import { z } from "zod";
import type { Connection, ConnectionState } from "./connection.js";
import { pack, unpack } from "./wire.js";

export const BEAT_MS = 1_000;
const MISSED_BEATS = 3;
/** A beat is heard a little later than it is due. */
const SLACK_MS = BEAT_MS / 2;
/** More are somebody's mistake. */
const MAX_MEMBERS = 256;
/** Messages come many at a time: of more changes than these, listeners hear once, when all have been read. */
const TOLD_AT_ONCE = 8;

export interface Load {
  /** Requests under way. */
  readonly in_flight: number;
  /** Client connections. */
  readonly connections: number;
}

export interface Self {
  /** `node_name`; two nodes may share it by mistake. */
  readonly node: string;
  /** Unique for each start of a process. */
  readonly instance: string;
  readonly version: string;
  /** RFC 3339. */
  readonly started_at: string;
}

export interface Member extends Self {
  readonly state: "serving" | "draining";
  readonly load: Load;
  /** Milliseconds since it was last heard of; 0 for this node. */
  readonly heard_ms: number;
}

const count = z.int().min(0);
const name = z.string().min(1).max(256);
/** Fields that a newer version adds pass unread. */
const beatSchema = z.object({
  v: z.literal(1),
  kind: z.enum(["beat", "leave"]),
  node: name,
  instance: name,
  version: z.string().max(256),
  started_at: z.string().max(64),
  state: z.enum(["serving", "draining"]),
  load: z.object({ in_flight: count, connections: count }),
});
type Beat = z.infer<typeof beatSchema>;

interface Heard {
  readonly beat: Beat;
  at: number;
}

export interface MembershipOptions {
  readonly connection: Pick<Connection, "publish" | "subscribe" | "onState" | "state">;
  readonly subject: string;
  readonly self: Self;
  readonly load: () => Load;
  /** A member came (true) or went. */
  readonly onChange: (member: Self, came: boolean) => void;
  /** Milliseconds that only grow. */
  readonly clock?: () => number;
}

export class Membership {
  readonly #options: MembershipOptions;
  readonly #clock: () => number;
  readonly #others = new Map<string, Heard>();
  readonly #listeners = new Set<() => void>();
  #state: Member["state"] = "serving";
  #timer: NodeJS.Timeout | null = null;
  #lastLook = 0;
  #leave: (() => void)[] = [];
  /** In this turn of the loop. */
  #changes = 0;

  constructor(options: MembershipOptions) {
    this.#options = options;
    this.#clock = options.clock ?? (() => performance.now());
  }

  /** This node and all others that live, ordered by instance: the same order everywhere. */
  get members(): Member[] {
    const now = this.#clock();
    const members: Member[] = [
      { ...this.#options.self, state: this.#state, load: this.#options.load(), heard_ms: 0 },
      ...[...this.#others.values()].map(({ beat, at }) => memberOf(beat, Math.max(0, Math.round(now - at)))),
    ];
    return members.sort((a, b) => (a.instance < b.instance ? -1 : 1));
  }

  /** Does what one node is to do for all fall to this one? While NATS is away several may think so. */
  get isFirst(): boolean {
    for (const instance of this.#others.keys()) if (instance < this.#options.self.instance) return false;
    return true;
  }

  /** Hears of every change of who is there; returns how to stop hearing. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  start(): void {
    const { connection, subject } = this.#options;
    this.#lastLook = this.#clock();
    this.#leave = [
      connection.subscribe(subject, ({ data }) => this.#hear(data)),
      connection.onState((state) => this.#reconnected(state)),
    ];
    this.#timer = setInterval(() => this.tick(), BEAT_MS);
    this.#timer.unref();
    this.#tell("beat");
  }

  /** One beat, and a look at who is missing. Called by itself once a second. */
  tick(): void {
    this.#tell("beat");
    this.#look();
  }

  /** No new work for this node: told at once. */
  drain(): void {
    this.#state = "draining";
    this.#tell("beat");
  }

  /** Says farewell. */
  stop(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
    this.#tell("leave");
    for (const leave of this.#leave) leave();
    this.#leave = [];
  }

  #tell(kind: Beat["kind"]): void {
    const { connection, subject, self, load } = this.#options;
    const beat: Beat = { v: 1, kind, ...self, state: this.#state, load: load() };
    connection.publish(subject, pack(beat));
  }

  #hear(data: Uint8Array): void {
    const heard = beatSchema.safeParse(unpack(data));
    if (!heard.success || heard.data.instance === this.#options.self.instance) return;
    const beat = heard.data;
    const known = this.#others.has(beat.instance);
    if (beat.kind === "leave") {
      if (this.#others.delete(beat.instance)) this.#changed(beat, false);
      return;
    }
    if (!known && this.#others.size >= MAX_MEMBERS) return;
    this.#others.set(beat.instance, { beat, at: this.#clock() });
    if (known) return;
    // The newcomer need not wait for a second to know us.
    this.#tell("beat");
    this.#changed(beat, true);
  }

  #look(): void {
    const now = this.#clock();
    const pause = now - this.#lastLook;
    this.#lastLook = now;
    if (this.#options.connection.state !== "connected") return;
    // When this thread itself was held up, beats may lie unread: nobody is to blame for that time.
    if (pause > BEAT_MS + SLACK_MS) this.#excuse(pause);
    for (const [instance, { beat, at }] of this.#others) {
      if (now - at <= MISSED_BEATS * BEAT_MS + SLACK_MS) continue;
      this.#others.delete(instance);
      this.#changed(beat, false);
    }
  }

  #reconnected(state: ConnectionState): void {
    if (state !== "connected") return;
    const now = this.#clock();
    for (const heard of this.#others.values()) heard.at = now;
    this.#tell("beat");
  }

  #excuse(milliseconds: number): void {
    for (const heard of this.#others.values()) heard.at += milliseconds;
  }

  #changed({ node, instance, version, started_at }: Beat, came: boolean): void {
    this.#options.onChange({ node, instance, version, started_at }, came);
    this.#changes += 1;
    if (this.#changes === 1) queueMicrotask(() => this.#settle());
    if (this.#changes <= TOLD_AT_ONCE) this.#tellListeners();
  }

  #settle(): void {
    const isUntold = this.#changes > TOLD_AT_ONCE;
    this.#changes = 0;
    if (isUntold) this.#tellListeners();
  }

  #tellListeners(): void {
    for (const listener of [...this.#listeners]) listener();
  }
}

function memberOf({ node, instance, version, started_at, state, load }: Beat, heard_ms: number): Member {
  return { node, instance, version, started_at, state, load, heard_ms };
}
