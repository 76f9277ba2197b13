/**
 * The health of the models, shared by the nodes: each tells once a second what it alone has seen, and a new cooldown
 * or check at once; what the others tell goes into the memory where the acceptors look. Nothing is kept in NATS, and
 * nothing waits: a message that is lost is made up for by the next one. Whoever joins is told everything anew.
 */
import { hash32 } from "../routing/hash.js";
import type { CheckResult, OwnHealth } from "../routing/health-report.js";
import type { ForeignCooldown, OtherNodes } from "../routing/other-nodes.js";
import type { SharedModel, SharedRouting } from "../routing/shared.js";
import type { Connection } from "./connection.js";
import { type CheckRow, type ModelRow, packHealth, unpackHealth } from "./health-message.js";
import { HealthWords } from "./health-words.js";
import type { Membership } from "./membership.js";
import type { FleetNames } from "./subjects.js";

const ROUND_MS = 1_000;
/** How often it is looked whether a cooldown has begun: one number is read. */
const LOOK_MS = 25;
/** Everything is told anew after so many rounds, for those who have missed a message. */
const FULL_ROUNDS = 30;

export interface HealthShareOptions {
  readonly connection: Pick<Connection, "publish" | "subscribe" | "onState" | "state">;
  readonly membership: Pick<Membership, "members" | "onChange">;
  readonly names: Pick<FleetNames, "health">;
  /** Of this process. */
  readonly instance: string;
  readonly routing: Pick<SharedRouting, "health" | "models" | "otherNodes">;
  /** Milliseconds since the epoch. */
  readonly clock?: () => number;
}

export interface HealthShareStatus {
  /** Messages to the others. */
  readonly told: number;
  /** Messages from them. */
  readonly heard: number;
  /** Of others' messages: not to be understood, or of nobody who is known. */
  readonly refused: number;
  /** What others have said of single models, as far as it counts. */
  readonly words: number;
}

/** What was told of a model last. */
type Told = Pick<OwnHealth, "inFlight" | "cooldownUntil" | "latencyAt" | "successes">;
const NOT_CHECKED = Object.freeze({ slot: null, staleSeconds: 0 });
const NOTHING_TOLD: Told = Object.freeze({ inFlight: 0, cooldownUntil: 0, latencyAt: 0, successes: 0 });

export class HealthShare implements OtherNodes {
  readonly #options: HealthShareOptions;
  readonly #clock: () => number;
  readonly #words = new HealthWords();
  /** Other instances → names of their nodes. */
  #nodes: ReadonlyMap<string, string> = new Map();
  #told = new Map<string, Told>();
  /** Checks that this node has made. */
  readonly #checks = new Map<string, { readonly result: CheckResult; readonly at: number; told: boolean }>();
  #models: ReadonlyMap<string, SharedModel> | null = null;
  #cooldowns = 0;
  #untold = false;
  #full = true;
  #round = 0;
  readonly #counts = { told: 0, heard: 0, refused: 0 };
  #timers: NodeJS.Timeout[] = [];
  #leave: (() => void)[] = [];

  constructor(options: HealthShareOptions) {
    this.#options = options;
    this.#clock = options.clock ?? Date.now;
  }

  get status(): HealthShareStatus {
    return { ...this.#counts, words: this.#words.size };
  }

  /** Begins to tell and to hear, and returns at once. */
  start(): void {
    const { connection, membership, names, routing } = this.#options;
    this.#meet();
    this.#leave = [
      connection.subscribe(names.health, ({ data }) => this.#hear(data)),
      connection.onState((state) => {
        if (state === "connected") this.#full = true;
      }),
      membership.onChange(() => this.#meet()),
    ];
    this.#timers = [setInterval(() => this.round(), ROUND_MS), setInterval(() => this.look(), LOOK_MS)];
    for (const timer of this.#timers) timer.unref();
    routing.otherNodes = this;
  }

  /** Tells what has ended since the last round, and ends. */
  stop(): void {
    this.#tell(this.#clock(), isNotAtRest);
    for (const timer of this.#timers) clearInterval(timer);
    for (const leave of this.#leave) leave();
    this.#timers = [];
    this.#leave = [];
    this.#options.routing.otherNodes = null;
  }

  /** Tells what is not at rest, and looks what still holds of the others' words. Called by itself once a second. */
  round(): void {
    const { models } = this.#options.routing;
    const now = this.#clock();
    this.#round += 1;
    if (models !== this.#models) this.#adopt(models);
    if (this.#round % FULL_ROUNDS === 0) this.#full = true;
    this.#tell(now, isNotAtRest);
    const names = this.#words.names;
    this.#words.look(now, (name) => models.has(name));
    for (const name of names) this.#apply(name, now);
  }

  /** Tells at once of cooldowns and checks that are new. Called by itself every `LOOK_MS`. */
  look(): void {
    const { health } = this.#options.routing;
    const { cooldowns } = health;
    if (cooldowns === this.#cooldowns && !this.#untold) return;
    this.#cooldowns = cooldowns;
    this.#tell(this.#clock(), coolsNewly);
  }

  /**
   * Each model is checked by the node whose hash with its name is the highest, so that the checks are spread, and few
   * change hands when a node comes or goes. Without NATS every node checks for itself.
   */
  checkRank(name: string): number {
    const { connection, membership, instance } = this.#options;
    if (connection.state !== "connected") return 0;
    const own = hash32(name, hash32(instance));
    let rank = 0;
    for (const member of membership.members) {
      if (member.instance === instance || member.state !== "serving") continue;
      const hash = hash32(name, hash32(member.instance));
      if (hash > own || (hash === own && member.instance < instance)) rank += 1;
    }
    return rank;
  }

  checked(name: string, result: CheckResult): void {
    this.#checks.set(name, { result, at: this.#clock(), told: false });
    this.#untold = true;
  }

  cooldownFrom(name: string): ForeignCooldown | null {
    return this.#words.cooldownFrom(name);
  }

  /** Who is there? */
  #meet(): void {
    const { membership, instance } = this.#options;
    const others = membership.members.filter((member) => member.instance !== instance);
    const before = this.#nodes;
    this.#nodes = new Map(others.map((member) => [member.instance, member.node]));
    if (others.some((member) => !before.has(member.instance))) {
      this.#full = true;
      this.#untold = true;
    }
    const gone = [...before.keys()].filter((each) => !this.#nodes.has(each));
    for (const each of gone) this.#words.gone(each);
    if (gone.length === 0) return;
    for (const name of this.#words.names) this.#apply(name, this.#clock());
  }

  /** Other resources are in force. */
  #adopt(models: ReadonlyMap<string, SharedModel>): void {
    this.#models = models;
    for (const name of this.#told.keys()) if (!models.has(name)) this.#told.delete(name);
    for (const name of this.#checks.keys()) if (!models.has(name)) this.#checks.delete(name);
  }

  #tell(now: number, isTold: (own: OwnHealth, told: Told, now: number) => boolean): void {
    const { connection, names, instance, routing } = this.#options;
    if (connection.state !== "connected") return;
    const full = this.#full;
    const models: ModelRow[] = [];
    for (const [name, { slot }] of routing.models) {
      const own = routing.health.own(slot, now);
      const told = this.#told.get(name) ?? NOTHING_TOLD;
      if (!(full ? hasNews : isTold)(own, told, now)) continue;
      models.push(rowOf(name, own, full ? NOTHING_TOLD : told, now));
      this.#told.set(name, own);
    }
    const checks = this.#untold || full ? this.#checkRows(now, full) : [];
    this.#full = false;
    this.#untold = false;
    for (const data of packHealth({ instance, models, checks })) {
      if (connection.publish(names.health, data)) this.#counts.told += 1;
    }
  }

  #checkRows(now: number, all: boolean): CheckRow[] {
    const rows: CheckRow[] = [];
    for (const [name, check] of this.#checks) {
      const { result, at } = check;
      const ageMs = Math.max(0, now - at);
      if (ageMs > result.staleSeconds * 1_000) this.#checks.delete(name);
      else if (all || !check.told) rows.push({ name, ...result, ageMs });
      check.told = true;
    }
    return rows;
  }

  #hear(data: Uint8Array): void {
    const message = unpackHealth(data);
    if (message?.instance === this.#options.instance) return;
    const node = message === null ? undefined : this.#nodes.get(message.instance);
    if (message === null || node === undefined) {
      this.#counts.refused += 1;
      return;
    }
    this.#counts.heard += 1;
    const { models, health } = this.#options.routing;
    const now = this.#clock();
    for (const row of message.models) {
      const model = models.get(row.name);
      if (model === undefined) continue;
      const { enabled, maxSeconds, defaultSeconds } = model.cooldown;
      const longestCooldownMs = enabled ? Math.max(maxSeconds, defaultSeconds) * 1_000 : 0;
      this.#words.hear(row, { instance: message.instance, node, longestCooldownMs }, now);
      if (row.successAgeMs !== null) health.recordOthersSuccess(model.slot, now - row.successAgeMs);
      this.#apply(row.name, now);
    }
    for (const row of message.checks) this.#take(row, now);
  }

  /** Another node has checked a model. */
  #take({ name, ageMs, ...result }: CheckRow, now: number): void {
    const { models, health } = this.#options.routing;
    const { slot, staleSeconds } = models.get(name) ?? NOT_CHECKED;
    // How long it counts is for this node's own resources to say.
    if (slot === null || staleSeconds === 0 || health.checkedAt(slot) > now - ageMs) return;
    health.recordCheck(slot, { ...result, staleSeconds: Math.min(result.staleSeconds, staleSeconds) }, now - ageMs);
    // What this node found before is past.
    this.#checks.delete(name);
  }

  #apply(name: string, now: number): void {
    const { models, health } = this.#options.routing;
    const model = models.get(name);
    if (model === undefined) return;
    const others = this.#words.sum(name, now);
    health.recordOthers(model.slot, model.cooldown.enabled ? others : { ...others, cooldownUntil: 0 });
  }
}

function rowOf(name: string, own: OwnHealth, told: Told, now: number): ModelRow {
  const { inFlight, cooldownUntil, lastStatus: status, latencyMs: ms, latencyAt, successes, successAt } = own;
  const hasLatency = ms >= 0 && latencyAt !== told.latencyAt;
  return {
    name,
    inFlight,
    latency: hasLatency ? { ms, ageMs: Math.max(0, now - latencyAt), samples: successes } : null,
    cooldown: cooldownUntil > now ? { leftMs: cooldownUntil - now, id: cooldownUntil, status } : null,
    successAgeMs: successAt > 0 && successes !== told.successes ? Math.max(0, now - successAt) : null,
  };
}

/** Is there anything to be said? */
function hasNews(own: OwnHealth, told: Told, now: number): boolean {
  return own.latencyMs >= 0 || isNotAtRest(own, told, now);
}

function isNotAtRest(own: OwnHealth, told: Told, now: number): boolean {
  if (own.inFlight > 0 || told.inFlight > 0 || own.cooldownUntil > now) return true;
  return own.latencyAt !== told.latencyAt || own.successes !== told.successes;
}

function coolsNewly(own: OwnHealth, told: Told, now: number): boolean {
  return own.cooldownUntil > now && told.cooldownUntil <= now;
}
