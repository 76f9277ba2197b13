/** Kills nodes and NATS servers at random, and starts them again; never more than one of a kind is down at once. */
import { pause } from "../load/children.js";
import type { Fleet } from "./fleet.js";
import { chances } from "./outcome.js";

export interface FaultSettings {
  readonly seed: number;
  /** Milliseconds between the return of one and the next kill, at least and at most. */
  readonly calm: readonly [number, number];
  /** How long it stays away. */
  readonly away: readonly [number, number];
  readonly say: (line: string) => void;
}

interface Victim {
  readonly kind: string;
  kill(): Promise<unknown>;
  start(): Promise<unknown>;
}

/** Runs until it is stopped; `stop` resolves when everything is up again. */
export class Faults {
  nodeKills = 0;
  natsKills = 0;
  readonly #fleet: Fleet;
  readonly #settings: FaultSettings;
  readonly #lanes: Promise<void>[];
  readonly #problems: string[] = [];
  #isOver = false;

  constructor(fleet: Fleet, settings: FaultSettings) {
    this.#fleet = fleet;
    this.#settings = settings;
    const { seed } = settings;
    this.#lanes = [
      this.#lane(chances(seed), (chance) => this.#node(chance)),
      this.#lane(chances(seed + 1), (chance) => this.#server(chance)),
    ];
  }

  get kills(): number {
    return this.nodeKills + this.natsKills;
  }

  /** What could not be started again. */
  async stop(): Promise<readonly string[]> {
    this.#isOver = true;
    await Promise.all(this.#lanes);
    return this.#problems;
  }

  async #lane(chance: () => number, choose: (chance: number) => Victim): Promise<void> {
    const { calm, away, say } = this.#settings;
    const between = ([least, most]: readonly [number, number]) => least + chance() * (most - least);
    for (;;) {
      await this.#wait(between(calm));
      if (this.#isOver) return;
      const victim = choose(chance());
      await victim.kill();
      say(`  ${victim.kind} killed`);
      await pause(between(away));
      try {
        await victim.start();
      } catch (error) {
        this.#problems.push(`${victim.kind} did not start again: ${String(error)}`);
        return;
      }
    }
  }

  async #wait(milliseconds: number): Promise<void> {
    const end = performance.now() + milliseconds;
    while (!this.#isOver && performance.now() < end) await pause(20);
  }

  #node(chance: number): Victim {
    const { nodes } = this.#fleet;
    const node = nodes[Math.floor(chance * nodes.length)] as (typeof nodes)[number];
    this.nodeKills += 1;
    return { kind: `node ${node.name}`, kill: () => node.end("SIGKILL"), start: () => node.start() };
  }

  #server(chance: number): Victim {
    const { nats } = this.#fleet;
    const index = Math.floor(chance * nats.count);
    this.natsKills += 1;
    return { kind: `NATS server ${index}`, kill: () => nats.kill(index), start: () => nats.start(index) };
  }
}
