/** Changes by the admin API reach every node at once, and no request sees half of one. */
import { until } from "../../test/e2e/gateway.js";
import { pause } from "../load/children.js";
import { CALLER_KEY, echoKey, Fleet } from "./fleet.js";
import { Load, type Reply, wallClock } from "./load.js";
import { ADMIN_KEY, type FleetNode } from "./node.js";
import { few, type Outcome, type RigOptions } from "./outcome.js";
import { describe } from "./rolling-restart.js";
import type { Echo } from "./wanted.js";

const BAR_CHANGES = 200;
const RATE = 300;
/** What is looked for at the nodes is looked for this often; it is part of what is measured. */
const LOOK_MS = 2;
const FORCE_MS = 10_000;
/** Of the changes, the last ones come all at once, at all nodes. */
const BURST = 20;

/** A change that was answered, and when all nodes said that it was in force; ms since 1970. */
interface Change {
  readonly number: number;
  readonly answeredAt: number;
  readonly toldAt: number;
}

export async function configChanges(options: RigOptions): Promise<Outcome> {
  const begun = performance.now();
  const fleet = await Fleet.start({ balanced: false, config: { acceptors: 2 } });
  try {
    for (const node of fleet.nodes) await until(async () => (await configOf(node)).source === "nats", FORCE_MS);
    const replies: Reply[] = [];
    const load = new Load({
      urls: fleet.urls,
      keys: [CALLER_KEY],
      model: "fleet-echo",
      rate: RATE,
      lanes: 256,
      wanted: { echo: true },
      onReply: (reply) => replies.push(reply),
    });
    const run = new ChangeRun(fleet);
    await run.play(options.changes);
    await pause(500);
    await load.stop();
    const problems = [...run.problems, ...replies.flatMap(replyProblems)];
    const taken = propagation(run.done, replies);
    const times = sorted(taken);
    const p99 = quantile(times, 0.99);
    if (times.length === 0) problems.push("no change came into force everywhere: nothing was measured");
    if (p99 > options.propagationMs) problems.push(`p99 of the propagation is ${p99.toFixed(1)} ms`);
    return {
      scenario: "config-changes",
      variant: "2 acceptors a node",
      bar: `p99 ≤ ${options.propagationMs} ms, every node on the last revision, no 5xx, no mixed snapshot`,
      short: options.changes < BAR_CHANGES,
      figures: {
        changes: run.changes,
        requests: replies.length,
        "p50 ms": quantile(times, 0.5).toFixed(1),
        "p99 ms": p99.toFixed(1),
        "p99 ms as the nodes tell it": quantile(
          sorted(run.done.map(({ answeredAt, toldAt }) => toldAt - answeredAt)),
          0.99,
        ).toFixed(1),
        "max ms": `${(times.at(-1) ?? 0).toFixed(1)} (change ${1 + taken.indexOf(times.at(-1) ?? 0)})`,
        failed: replies.filter(({ status }) => status !== 200).length,
        problems: problems.length,
      },
      problems: few(problems),
      seconds: (performance.now() - begun) / 1_000,
    };
  } finally {
    await fleet.dispose();
  }
}

class ChangeRun {
  changes = 0;
  /** Those that all nodes came to know, in their order. */
  readonly done: Change[] = [];
  readonly problems: string[] = [];
  readonly #fleet: Fleet;

  constructor(fleet: Fleet) {
    this.#fleet = fleet;
  }

  async play(changes: number): Promise<void> {
    const { nodes, upstreamUrl } = this.#fleet;
    for (let change = 1; change <= changes - BURST; change += 1) {
      const node = nodes[change % nodes.length] as FleetNode;
      const revision = await this.#put(node, "provider_keys/echo", echoKey(upstreamUrl, change));
      if (revision === null) return;
      const answeredAt = wallClock();
      const told = await Promise.all(nodes.map((each) => this.#wait(each, revision)));
      if (told.every((isThere) => isThere)) this.done.push({ number: change, answeredAt, toldAt: wallClock() });
    }
    const revisions = await Promise.all(
      Array.from({ length: Math.min(BURST, changes) }, (_, index) => {
        const fields = { provider: "openai", model_name: `burst-${index}`, provider_key: "main" };
        const node = nodes[index % nodes.length] as FleetNode;
        return this.#put(node, `models/burst-${index}`, { display_name: `burst-${index}`, ...fields });
      }),
    );
    const last = Math.max(...revisions.map((revision) => revision ?? 0));
    await Promise.all(nodes.map((node) => this.#wait(node, last)));
    const seen = await Promise.all(nodes.map(revisionOf));
    if (seen.some((revision) => revision !== last)) this.problems.push(`revisions ${seen} at the end, must be ${last}`);
  }

  /** The revision, or null where the change was not taken. */
  async #put(node: FleetNode, path: string, value: Record<string, unknown>): Promise<number | null> {
    const response = await fetch(`${node.opsUrl}/admin/v1/${path}`, {
      method: "PUT",
      headers: { authorization: `Bearer ${ADMIN_KEY}`, "content-type": "application/json" },
      body: JSON.stringify(value),
    });
    const text = await response.text();
    if (!response.ok) {
      this.problems.push(`PUT ${path}: ${response.status} ${text.slice(0, 200)}`);
      return null;
    }
    this.changes += 1;
    return Number((JSON.parse(text) as { revision: number }).revision);
  }

  async #wait(node: FleetNode, revision: number): Promise<boolean> {
    const end = performance.now() + FORCE_MS;
    while ((await revisionOf(node)) < revision) {
      if (performance.now() > end) {
        this.problems.push(`node ${node.name} is not on revision ${revision} after ${FORCE_MS} ms`);
        return false;
      }
      await pause(LOOK_MS);
    }
    return true;
  }
}

function configOf(node: FleetNode): Promise<{ source: string; revision: number | string }> {
  return node.page("/status/config");
}

/** What serves from elsewhere than the bucket is older than all that is in it. */
async function revisionOf(node: FleetNode): Promise<number> {
  const { revision } = await configOf(node);
  return /^\d{1,15}$/.test(String(revision)) ? Number(revision) : -1;
}

/** An answer must be one, and of one revision. */
function replyProblems(reply: Reply): string[] {
  if (reply.status !== 200) return [describe(reply)];
  const { authorization, revision } = echoOf(reply);
  if (authorization === `Bearer sk-revision-${revision}`) return [];
  return [`${reply.user}: key ${authorization} beside header ${revision}`];
}

function echoOf({ text }: Reply): Echo {
  const answer = JSON.parse(text) as { choices: { message: { content: string } }[] };
  return JSON.parse(answer.choices[0]?.message.content ?? "{}") as Echo;
}

/**
 * For each change: ms from its answer until all nodes told it, or until the last request was sent that was still
 * answered by an older one, whatever was later: so the acceptors are looked at, too, and not only what nodes say.
 */
function propagation(changes: readonly Change[], replies: readonly Reply[]): number[] {
  const seen = replies
    .filter(({ status }) => status === 200)
    .map((reply) => ({ sentAt: reply.sentAt, revision: Number(echoOf(reply).revision) }));
  return changes.map(({ number, answeredAt, toldAt }) => {
    const older = seen.filter(({ revision }) => revision < number).map(({ sentAt }) => sentAt);
    return Math.max(toldAt, ...older) - answeredAt;
  });
}

function sorted(values: readonly number[]): number[] {
  return values.toSorted((left, right) => left - right);
}

function quantile(values: readonly number[], fraction: number): number {
  return values[Math.min(values.length - 1, Math.ceil(fraction * values.length) - 1)] ?? 0;
}
