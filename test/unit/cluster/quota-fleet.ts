/** A fleet in one thread: real quota syncs and memberships over a network of timers. For fake clocks. */
import type { ConnectionState, Incoming } from "../../../src/cluster/connection.js";
import { Membership } from "../../../src/cluster/membership.js";
import { QuotaSync } from "../../../src/cluster/quota-sync.js";
import type { QuotaConnection } from "../../../src/cluster/quota-wire.js";
import { fleetNames } from "../../../src/cluster/subjects.js";
import type { OnPartition } from "../../../src/config/traffic.js";
import type { Grant, Grants, Holding, Want } from "../../../src/quota/grants.js";
import { DIMENSIONS, windowOf } from "../../../src/quota/window.js";

export const NAMES = fleetNames("weir");
const WAIT_MS = 250;

export interface Air {
  /** Milliseconds of one way. */
  readonly delay: () => number;
  readonly isLost: () => boolean;
}

/** Messages between two nodes keep their order, as they do in NATS. */
export class Network {
  readonly connections = new Set<FakeNats>();
  messages = 0;
  readonly #air: Air;
  readonly #last = new Map<string, number>();

  constructor(air: Air) {
    this.#air = air;
  }

  send(from: FakeNats, to: FakeNats, deliver: () => void): void {
    this.messages += 1;
    if (from.deaf || to.deaf || this.#air.isLost()) return;
    const way = `${from.id}>${to.id}`;
    const at = Math.max(this.#last.get(way) ?? 0, performance.now() + this.#air.delay());
    this.#last.set(way, at);
    const generation = to.generation;
    setTimeout(() => {
      if (to.live !== null && to.generation === generation) deliver();
    }, at - performance.now());
  }
}

/** One node's connection. */
export class FakeNats implements QuotaConnection {
  readonly id: string;
  generation = 0;
  /** Nothing comes in or out, and nobody notices. */
  deaf = false;
  state: ConnectionState = "connecting";
  live: QuotaConnection["live"] = null;
  readonly #network: Network;
  readonly #handles = new Map<string, Set<(message: Incoming) => void>>();
  readonly #listeners = new Set<(state: ConnectionState) => void>();

  constructor(network: Network, id: string) {
    this.#network = network;
    this.id = id;
    network.connections.add(this);
  }

  connect(): void {
    this.live = { lost: new AbortController().signal } as QuotaConnection["live"];
    this.#change("connected");
  }

  lose(): void {
    this.live = null;
    this.generation += 1;
    this.#change("disconnected");
  }

  /** As of a process that is gone: it hears not even that. */
  die(): void {
    this.live = null;
    this.generation += 1;
    this.#listeners.clear();
    this.#network.connections.delete(this);
  }

  publish(subject: string, data: Uint8Array): boolean {
    if (this.live === null) return false;
    for (const other of this.#hearers(subject)) {
      this.#network.send(this, other, () => other.#hear(subject, data, () => false));
    }
    return true;
  }

  request(subject: string, data: Uint8Array, timeoutMs = 5_000): Promise<Uint8Array> {
    return new Promise((resolve, reject) => {
      if (this.live === null) {
        reject(new Error("there is no connection to NATS"));
        return;
      }
      setTimeout(() => reject(Object.assign(new Error("late"), { code: "TIMEOUT" })), timeoutMs);
      const [answerer] = this.#hearers(subject);
      if (answerer === undefined) {
        this.#network.send(this, this, () => reject(Object.assign(new Error("nobody"), { code: "503" })));
        return;
      }
      this.#network.send(this, answerer, () =>
        answerer.#hear(subject, data, (answer) => {
          if (answerer.live === null) return false;
          this.#network.send(answerer, this, () => resolve(answer));
          return true;
        }),
      );
    });
  }

  subscribe(subject: string, handle: (message: Incoming) => void): () => void {
    const handles = this.#handles.get(subject) ?? new Set();
    this.#handles.set(subject, handles.add(handle));
    return () => handles.delete(handle);
  }

  onState(listener: (state: ConnectionState) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #hearers(subject: string): FakeNats[] {
    const all = [...this.#network.connections];
    return all.filter((one) => one.live !== null && one.#hears(subject));
  }

  #hears(subject: string): boolean {
    return (this.#handles.get(subject)?.size ?? 0) > 0;
  }

  #hear(subject: string, data: Uint8Array, respond: (data: Uint8Array) => boolean): void {
    for (const handle of [...(this.#handles.get(subject) ?? [])]) handle({ subject, data, respond });
  }

  #change(state: ConnectionState): void {
    this.state = state;
    for (const listener of [...this.#listeners]) listener(state);
  }
}

interface Cell {
  readonly bucket: string;
  readonly dimension: number;
  readonly window: number;
  granted: number;
  used: number;
  dryUntil: number;
  asked: boolean;
}

interface Limit {
  readonly bucket: string;
  readonly dimension: number;
  readonly amount: number;
  readonly onPartition: OnPartition;
}

/** What admissions read, as plainly as it can be written. Counts what it admits, by window. */
export class Memory implements Grants {
  onUrgent: (() => void) | null = null;
  readonly spent = new Map<string, number>();
  readonly #cells = new Map<string, Cell>();
  readonly #wants = new Map<string, Want>();
  readonly #waiting = new Set<() => void>();

  take(): Want[] {
    const wants = [...this.#wants.values()];
    this.#wants.clear();
    return wants;
  }

  grant(bucket: string, dimension: number, window: number, { units, dryUntil }: Grant): number {
    if (dimension < DIMENSIONS.length && window < this.#window(dimension)) return 0;
    const cell = this.#cell(bucket, dimension, window);
    cell.granted += units;
    cell.dryUntil = dryUntil;
    cell.asked = false;
    for (const wake of [...this.#waiting]) wake();
    return units;
  }

  takeBack(bucket: string, dimension: number, window: number, keep: number): number {
    const cell = this.#cell(bucket, dimension, window);
    const units = Math.max(0, cell.granted - cell.used - keep);
    cell.granted -= units;
    return units;
  }

  giveUp(bucket: string, dimension: number, window: number, units: number): number {
    const cell = this.#cell(bucket, dimension, window);
    const least = dimension < DIMENSIONS.length ? cell.used : 0;
    const given = Math.max(0, Math.min(units, cell.granted - least));
    cell.granted -= given;
    return given;
  }

  holding(bucket: string, dimension: number, window: number): Holding {
    return this.#cell(bucket, dimension, window);
  }

  active(): Iterable<Holding> {
    return this.#cells.values();
  }

  /** One request; true: admitted. Waits as a request does. */
  async admit(limit: Limit, units = 1): Promise<boolean> {
    const until = Date.now() + WAIT_MS;
    for (;;) {
      const cell = this.#cell(limit.bucket, limit.dimension, this.#window(limit.dimension));
      const left = Math.min(limit.amount, cell.granted) - cell.used;
      if (cell.granted > limit.amount) this.#want(limit, cell, 0);
      if (left >= units) {
        cell.used += units;
        this.#count(cell, units);
        const wish = left - units < cell.granted / 4 && !cell.asked;
        if (wish && cell.granted < limit.amount && cell.dryUntil <= Date.now()) this.#want(limit, cell, 0);
        return true;
      }
      if (cell.dryUntil > Date.now() || Date.now() >= until) return false;
      this.#want(limit, cell, units - left);
      this.onUrgent?.();
      await this.#wait(until);
    }
  }

  /** The request is over: of the units of a limit of requests at once. */
  release(limit: Limit, units = 1): void {
    this.#cell(limit.bucket, limit.dimension, 0).used -= units;
  }

  /** It has used more than it reserved. */
  overdraw(limit: Limit, units: number): void {
    const cell = this.#cell(limit.bucket, limit.dimension, this.#window(limit.dimension));
    cell.used += units;
    const overdraft = Math.max(0, cell.used - cell.granted);
    cell.granted += overdraft;
    this.#count(cell, units);
    this.#want(limit, cell, 0, overdraft);
  }

  used(bucket: string, dimension: number): number {
    return this.#cell(bucket, dimension, this.#window(dimension)).used;
  }

  #wait(until: number): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        clearTimeout(timer);
        this.#waiting.delete(done);
        resolve();
      };
      const timer = setTimeout(done, until - Date.now());
      this.#waiting.add(done);
    });
  }

  #want({ bucket, dimension, amount, onPartition }: Limit, cell: Cell, want: number, overdraft = 0): void {
    const { window, granted, used } = cell;
    cell.asked = true;
    const key = `${dimension}.${window}.${bucket}`;
    const known = this.#wants.get(key);
    this.#wants.set(key, {
      bucket,
      dimension,
      window,
      amount,
      want: Math.max(known?.want ?? 0, want),
      urgent: want > 0 || known?.urgent === true,
      overdraft: overdraft + (known?.overdraft ?? 0),
      onPartition,
      granted,
      used,
    });
  }

  #count({ bucket, dimension, window }: Cell, units: number): void {
    const key = `${dimension}.${window}.${bucket}`;
    this.spent.set(key, (this.spent.get(key) ?? 0) + units);
  }

  #window(dimension: number): number {
    const counted = DIMENSIONS[dimension];
    return counted === undefined ? 0 : windowOf(Date.now(), counted.windowMs);
  }

  #cell(bucket: string, dimension: number, window: number): Cell {
    const key = `${dimension}.${window}.${bucket}`;
    let cell = this.#cells.get(key);
    if (cell === undefined) {
      cell = { bucket, dimension, window, granted: 0, used: 0, dryUntil: 0, asked: false };
      this.#cells.set(key, cell);
    }
    return cell;
  }
}

export class FleetNode {
  readonly instance: string;
  readonly memory = new Memory();
  readonly connection: FakeNats;
  readonly membership: Membership;
  readonly sync: QuotaSync;
  alive = true;
  /** For how long this node's thread has stood still, milliseconds: its timers come late, its messages do not. */
  stoodStill = 0;

  constructor(network: Network, instance: string) {
    this.instance = instance;
    this.connection = new FakeNats(network, instance);
    this.membership = new Membership({
      connection: this.connection,
      subject: NAMES.members,
      self: { node: instance, instance, version: "1", started_at: "" },
      load: () => ({ in_flight: 0, connections: 0 }),
      onChange: () => undefined,
    });
    const { connection, membership } = this;
    const clock = (): number => performance.now() + this.stoodStill;
    this.sync = new QuotaSync({ connection, membership, names: NAMES, self: instance, grants: this.memory, clock });
    this.membership.start();
    this.sync.start();
  }

  kill(): void {
    this.alive = false;
    this.connection.die();
  }

  leave(): void {
    this.alive = false;
    this.sync.stop();
    this.membership.stop();
    setTimeout(() => this.connection.die(), 50);
  }

  stop(): void {
    this.sync.stop();
    this.membership.stop();
  }
}

export class Fleet {
  readonly nodes: FleetNode[] = [];
  readonly network: Network;
  #started = 0;

  constructor(air: Air) {
    this.network = new Network(air);
  }

  join(): FleetNode {
    const node = new FleetNode(this.network, `node-${++this.#started}`);
    this.nodes.push(node);
    node.connection.connect();
    return node;
  }

  /** What all have admitted, those that are gone included, by window. */
  spent(): Map<string, number> {
    const sums = new Map<string, number>();
    for (const { memory } of this.nodes) {
      for (const [key, units] of memory.spent) sums.set(key, (sums.get(key) ?? 0) + units);
    }
    return sums;
  }

  stop(): void {
    for (const node of this.nodes) node.stop();
  }
}
