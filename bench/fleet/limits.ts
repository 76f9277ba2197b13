/** A limit is one for the fleet: three times as much is offered, while nodes and NATS servers come and go. */
import { pause } from "../load/children.js";
import { Fleet, LIMITED_KEY } from "./fleet.js";
import { Load, type Reply } from "./load.js";
import { few, type Outcome, type RigOptions } from "./outcome.js";
import { describe } from "./rolling-restart.js";
import { countWindows, type FaultTime, type LimitBar, type WindowCount, windowProblems } from "./windows.js";

export type LimitKind = "rpm" | "tpm" | "rps";

/** What a request of the rig uses, and what it asks for at most. */
const INPUT = 10;
const OUTPUT = 40;
/** The model that the limited key is to ask. */
const LIMITED_MODEL = "fleet-limited";
/** How long a node or a server that has gone may still be counted on: three missed beats, and what follows. */
export const NOTICED_MS = 5_000;
const BAR_WINDOWS = 5;
/** Of a minute's windows each fault has one, and one of calm follows it; seconds' need more. */
const CALM_WINDOWS = { minute: 1, second: 2 } as const;

export interface Shape {
  readonly kind: LimitKind;
  readonly limit: number;
  readonly windowMs: number;
  /** Requests a second that are offered. */
  readonly rate: number;
  readonly unit: (arrival: readonly [number, number]) => number;
  readonly excess: number;
  readonly least: LimitBar["least"];
}

const REQUESTS = { windowMs: 60_000, unit: () => 1, excess: 0, least: [0.99, 0.9] } as const;

export const SHAPES: Readonly<Record<LimitKind, Shape>> = {
  rpm: { ...REQUESTS, kind: "rpm", limit: 600, rate: 30 },
  tpm: {
    ...REQUESTS,
    kind: "tpm",
    limit: 600 * (INPUT + OUTPUT),
    rate: 30,
    unit: ([, tokens]) => tokens,
    excess: 3 * (INPUT + OUTPUT),
  },
  // A second is hardly longer than it takes to ask: the bar's upper side holds, the lower one is half.
  rps: { ...REQUESTS, kind: "rps", limit: 100, windowMs: 1_000, rate: 300, least: [0.5, 0.5] },
};

/** Used up within seconds, so that what happens next in the same minute shows whether anything is counted twice. */
export const BRIEF: Shape = { ...REQUESTS, kind: "rpm", limit: 120, rate: 30 };

/** Steady windows first; then a node is killed, comes back, a NATS server is killed, comes back. */
export async function limitScenario(kind: LimitKind, options: RigOptions): Promise<Outcome> {
  const shape = SHAPES[kind];
  const begun = performance.now();
  const fleet = await Fleet.start({ balanced: options.balanced, limit: { [kind]: shape.limit } });
  try {
    const run = new LimitRun(fleet, shape, options);
    await run.play();
    const windows = await run.windows();
    const problems = [...windowProblems(windows, run.bar), ...run.failures];
    return {
      scenario: kind,
      variant: "steady, node killed, node joins, NATS server killed, NATS server back",
      bar: `${shape.least[0] * 100}–100 % of ${shape.limit}; then ≤ 101 %, and ≥ ${shape.least[1] * 100} % where no fault is`,
      short: options.windows < BAR_WINDOWS || kind === "rps",
      figures: figuresOf(windows, run),
      problems: few(problems),
      seconds: (performance.now() - begun) / 1_000,
    };
  } finally {
    await fleet.dispose();
  }
}

/** More than a limit lets through, by the limited key. What is neither passed nor refused has failed. */
export function offer(fleet: Fleet, { rate }: Shape, onReply: (reply: Reply) => void): Load {
  return new Load({
    urls: fleet.urls,
    keys: [LIMITED_KEY],
    model: LIMITED_MODEL,
    rate,
    lanes: 256,
    wanted: { input: INPUT, output: OUTPUT },
    maxTokens: OUTPUT,
    onReply,
  });
}

/** What the upstream was asked for in so many windows. */
export async function admitted(fleet: Fleet, shape: Shape, from: number, windows: number): Promise<WindowCount[]> {
  const { windowMs, unit } = shape;
  return countWindows(await fleet.arrivals(LIMITED_MODEL), { from, windowMs, windows }, unit);
}

/** Just before a window begins: resolves with its beginning, ms since 1970. */
export async function nextWindow({ windowMs }: Shape): Promise<number> {
  const lead = Math.min(2_000, windowMs);
  const from = (Math.floor((Date.now() + lead) / windowMs) + 1) * windowMs;
  await reach(from - lead);
  return from;
}

export async function reach(time: number): Promise<void> {
  await pause(Math.max(0, time - Date.now()));
}

class LimitRun {
  readonly #fleet: Fleet;
  readonly #shape: Shape;
  readonly #options: RigOptions;
  readonly #faults: FaultTime[] = [];
  readonly #failed: Reply[] = [];
  #from = 0;
  #count = 0;

  constructor(fleet: Fleet, shape: Shape, options: RigOptions) {
    this.#fleet = fleet;
    this.#shape = shape;
    this.#options = options;
  }

  get bar(): LimitBar {
    const { limit, windowMs, excess, least } = this.#shape;
    return { limit, windowMs, excess, least, faults: this.#faults };
  }

  /** Callers may be failed by a node that is killed under them, and by nothing else. */
  get failures(): string[] {
    const inFault = ({ sentAt, endedAt }: Reply) =>
      this.#faults.some(({ from, to, what }) => what.startsWith("node") && sentAt < to && endedAt >= from);
    return this.#failed.filter((reply) => !inFault(reply)).map(describe);
  }

  windows(): Promise<WindowCount[]> {
    return admitted(this.#fleet, this.#shape, this.#from, this.#count);
  }

  async play(): Promise<void> {
    const { windowMs } = this.#shape;
    this.#from = await nextWindow(this.#shape);
    const load = offer(this.#fleet, this.#shape, (reply) => {
      if (reply.status !== 200 && reply.status !== 429) this.#failed.push(reply);
    });
    const { nodes, nats } = this.#fleet;
    const last = nodes.at(-1);
    this.#count = this.#options.windows * (windowMs < 10_000 ? 2 : 1);
    await this.#fault("node killed", () => last?.end("SIGKILL"));
    await this.#fault("node joins", () => last?.start());
    await this.#fault("NATS server killed", () => nats.kill(0));
    await this.#fault("NATS server back", () => nats.start(0));
    await reach(this.#from + this.#count * windowMs);
    await load.stop();
  }

  /** A tenth into the next window that is still free, while there is something left of the limit. */
  async #fault(what: string, action: () => Promise<unknown> | undefined): Promise<void> {
    const { windowMs } = this.#shape;
    await reach(this.#from + (this.#count + 0.1) * windowMs);
    const from = Date.now();
    await action();
    this.#options.say(`  ${what}`);
    const to = Date.now() + NOTICED_MS;
    this.#faults.push({ what, from, to });
    const calm = windowMs < 10_000 ? CALM_WINDOWS.second : CALM_WINDOWS.minute;
    this.#count = Math.ceil((to - this.#from) / windowMs) + calm;
  }
}

function figuresOf(windows: readonly WindowCount[], { bar, failures }: LimitRun): Record<string, number | string> {
  const firstFault = Math.min(...bar.faults.map(({ from }) => from));
  const units = (list: readonly WindowCount[]) => list.map((window) => window.units).join(" ");
  const isSteady = ({ start }: WindowCount) => start + bar.windowMs <= firstFault;
  return {
    limit: bar.limit,
    steady: units(windows.filter(isSteady)),
    "with faults": units(windows.filter((window) => !isSteady(window))),
    failed: failures.length,
  };
}
