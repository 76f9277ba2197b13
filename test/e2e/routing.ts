/** What the scenarios of routing models share: resources with targets behind a name, calls, and what became of them. */
import { type Agent, request } from "node:http";
import { expect } from "vitest";
import type { UsageEvent } from "../../src/usage/event.js";
import type { Behaviour } from "../fake-upstream/behaviour.js";
import type { FakeUpstream } from "../fake-upstream/fake-upstream.js";
import { type RunningGateway, sha256 } from "./gateway.js";
import { type AskOptions, type Answer, ask } from "./wire.js";

/** One target: a direct model that has the same name at its upstream, so that scripts can tell targets apart. */
export interface TargetShape {
  /** Said after the routing model's name and a dash. */
  readonly name: string;
  /** Which of the upstream's faces it speaks to; "messages" has only that one dialect, "nobody" refuses connections. */
  readonly face?: "openai" | "anthropic" | "messages" | "nobody";
  /** More fields of the direct model. */
  readonly model?: Record<string, unknown>;
  readonly weight?: number;
  readonly priority?: number;
  readonly tags?: readonly string[];
}

export interface GroupShape {
  readonly name: string;
  /** A letter alone is a target with nothing particular. */
  readonly targets: readonly (string | TargetShape)[];
  /** More fields of `routing`. */
  readonly routing?: Record<string, unknown>;
  /** More fields of the routing model. */
  readonly model?: Record<string, unknown>;
}

export interface Surroundings {
  readonly upstream: string;
  /** An address where connections are refused. */
  readonly nobody?: string;
  /** Fields of every target's `cooldown`; by default none has one, so that calls do not influence each other. */
  readonly cooldown?: Record<string, unknown>;
  /** Callers' keys beside `sk-test-key`. */
  readonly keys?: readonly string[];
}

/** The caller's key of `startGateway`'s other scenarios. */
const KEYS = ["sk-test-key"];

const PROVIDERS = { openai: "openai", anthropic: "anthropic", messages: "in-house", nobody: "openai" } as const;

/** A resource file with these routing models, each with targets of its own. */
export function routingResources(groups: readonly GroupShape[], surroundings: Surroundings): Record<string, unknown> {
  const { upstream, nobody = upstream, keys = [] } = surroundings;
  return {
    _format_version: "1",
    provider_keys: [
      { display_name: "openai", provider: "openai", api_base: `${upstream}/v1`, api_key: "sk-upstream" },
      { display_name: "anthropic", provider: "anthropic", api_base: upstream, api_key: "sk-upstream" },
      {
        display_name: "messages",
        provider: "in-house",
        adapter: "anthropic",
        api_base: upstream,
        api_key: "sk-upstream",
      },
      { display_name: "nobody", provider: "openai", api_base: `${nobody}/v1`, api_key: "sk-upstream" },
    ],
    models: groups.flatMap((group) => modelsOf(group, surroundings)),
    api_keys: [...KEYS, ...keys].map((key) => ({
      display_name: key,
      key_hash: sha256(key),
      allowed_models: ["*"],
    })),
  };
}

function modelsOf(group: GroupShape, { cooldown }: Surroundings): Record<string, unknown>[] {
  const targets = group.targets.map((target) => (typeof target === "string" ? { name: target } : target));
  const direct = targets.map(({ name, face = "openai", model }: TargetShape) => ({
    display_name: `${group.name}-${name}`,
    provider: PROVIDERS[face],
    model_name: `${group.name}-${name}`,
    provider_key: face,
    cooldown: cooldown ?? { enabled: false },
    ...model,
  }));
  const listed = targets.map(({ name, weight, priority, tags }: TargetShape) => ({
    model: `${group.name}-${name}`,
    ...(weight === undefined ? {} : { weight }),
    ...(priority === undefined ? {} : { priority }),
    ...(tags === undefined ? {} : { tags }),
  }));
  return [...direct, { display_name: group.name, ...group.model, routing: { targets: listed, ...group.routing } }];
}

/** A chat call of a model; the answer tells which target it came from. */
export function chatOf(
  gateway: RunningGateway,
  model: string,
  more: Record<string, unknown> = {},
  options: AskOptions = {},
): Promise<Answer> {
  return ask(gateway.url, { model, messages: [{ role: "user", content: "How are you?" }], ...more }, options);
}

/** The target that an answer came from, as the answer says. */
export function servedBy(answer: Answer): string {
  return answer.headers.get("x-weir-upstream-model") ?? "";
}

/** How many attempts the answer says that it took; 0 = it does not say. */
export function attemptsOf(answer: Answer): number {
  return Number(answer.headers.get("x-weir-attempts") ?? 0);
}

/** The models that the upstream was asked for, in order. */
export function asked(upstream: FakeUpstream): string[] {
  return upstream.requests().map(({ model }) => model);
}

/** Milliseconds between each request that reached the upstream and the one before it. */
export function pauses(upstream: FakeUpstream): number[] {
  const times = upstream.requests().map(({ receivedAt }) => receivedAt);
  return times.slice(1).map((time, index) => time - (times[index] as number));
}

/** Lets every request to this target behave so, until the upstream is reset. */
export function always(upstream: FakeUpstream, model: string, behaviour: Behaviour): void {
  upstream.script({ ...behaviour, match: { model }, times: -1 });
}

/** The next requests to this target behave so, in this order; those after them as usual. */
export function inTurn(upstream: FakeUpstream, model: string, ...behaviours: readonly Behaviour[]): void {
  upstream.script(...behaviours.map((behaviour) => ({ ...behaviour, match: { model } })));
}

/** The usage events of a request, one an attempt, in order; they are on file when the answer has ended. */
export async function eventsOf(gateway: RunningGateway, answer: Answer, attempts: number): Promise<UsageEvent[]> {
  const id = answer.headers.get("x-weir-request-id");
  const events = (await gateway.events()).filter((event) => event.request_id === id);
  expect(events.map(({ attempt }) => attempt)).toEqual(Array.from({ length: attempts }, (_, index) => index + 1));
  return events;
}

/** A row of `/status/models`. */
// biome-ignore lint/suspicious/noExplicitAny: a row is looked into field by field.
export async function statusOf(gateway: RunningGateway, model: string): Promise<any> {
  const rows = await (await fetch(`${gateway.opsUrl}/status/models`, { headers: { connection: "close" } })).json();
  const list = (Array.isArray(rows) ? rows : (rows as { models: unknown[] }).models) as { name: string }[];
  return list.find(({ name }) => name === model);
}

/** A chat call on a connection of its own or of `agent`; the status and the target that answered. */
export function quickChat(url: string, body: string, agent: Agent | false = false): Promise<[number, string]> {
  const headers = {
    authorization: "Bearer sk-test-key",
    "content-type": "application/json",
    "content-length": Buffer.byteLength(body),
  };
  return new Promise((resolve, reject) => {
    const outgoing = request(`${url}/v1/chat/completions`, { method: "POST", agent, headers }, (response) => {
      response.resume();
      response.once("error", reject);
      response.once("end", () =>
        resolve([response.statusCode ?? 0, String(response.headers["x-weir-upstream-model"])]),
      );
    });
    outgoing.once("error", reject);
    outgoing.end(body);
  });
}

/** How often each value occurs. */
export function tally(values: Iterable<string>): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const value of values) counts[value] = (counts[value] ?? 0) + 1;
  return counts;
}
