/** A small fleet of models for tests of routing: names, a routing model in front of them, and routers on one memory. */
import type { DirectModel, ModelResource, Resources, RoutingModel } from "../../../src/config/resources.js";
import { type ResolvedModel, Snapshot } from "../../../src/config/snapshot.js";
import {
  type BackgroundCheck,
  DEFAULT_COOLDOWN,
  NO_TRAFFIC,
  type Routing,
  type RoutingTarget,
} from "../../../src/config/traffic.js";
import { type Failure, isFailure } from "../../../src/errors.js";
import type { Plan, RequestFacts } from "../../../src/routing/plan.js";
import { allocateRoutingMemory, Router, type RoutingMemory } from "../../../src/routing/router.js";
import { SharedRouting } from "../../../src/routing/shared.js";
import { providerKey } from "../providers/keys.js";

const SETTINGS = {
  rateLimit: null,
  strict: false,
  timeoutMs: null,
  streamTimeoutMs: null,
  retries: null,
  allowedCidrs: [],
};

export function direct(name: string, differs: Partial<DirectModel> = {}): DirectModel {
  return {
    ...SETTINGS,
    kind: "direct",
    name,
    provider: "openai",
    modelName: name,
    providerKey: "main",
    cooldown: DEFAULT_COOLDOWN,
    backgroundCheck: null,
    cost: null,
    embedding: null,
    autoPromptCaching: null,
    ...differs,
  };
}

export function target(model: string, differs: Partial<RoutingTarget> = {}): RoutingTarget {
  return { model, weight: 1, priority: 0, tags: [], ...differs };
}

export function routing(targets: readonly RoutingTarget[], differs: Partial<Routing> = {}): Routing {
  return {
    strategy: "failover",
    targets,
    retries: null,
    maxFallbacks: null,
    retryOn429: false,
    fallbackOnStatuses: [],
    whenAllUnavailable: "fail",
    hashOn: [],
    continueOnFailure: false,
    ...differs,
  };
}

/** A routing model called "group". */
export function group(rules: Routing, differs: Partial<RoutingModel> = {}): RoutingModel {
  return { ...SETTINGS, kind: "routing", name: "group", routing: rules, ...differs };
}

export function resourcesOf(models: readonly ModelResource[]): Resources {
  const providerKeys = [
    { ...providerKey("openai"), name: "main" },
    { ...providerKey("anthropic"), name: "other" },
  ];
  return { revision: "r1", source: "test", providerKeys, models, apiKeys: [], traffic: NO_TRAFFIC };
}

export const CHECK: BackgroundCheck = {
  intervalSeconds: 60,
  timeoutSeconds: 5,
  staleAfterSeconds: 120,
  prompt: "ping",
  maxTokens: 1,
  ignoreStatuses: [],
};

export function facts(differs: Partial<RequestFacts> = {}): RequestFacts {
  return { clientAddress: "10.0.0.1", apiKey: "tester", passed: [], others: [], ...differs };
}

/** A node with some models and a routing model over them, and a router for each of its threads. */
export class Fleet {
  readonly shared: SharedRouting;
  readonly routers: readonly Router[];
  readonly resources: Resources;
  readonly snapshot: Snapshot;

  constructor(models: readonly ModelResource[], threads = 1) {
    this.shared = new SharedRouting(threads);
    this.resources = resourcesOf(models);
    const slots = this.shared.assign(this.resources);
    this.snapshot = new Snapshot(this.resources);
    this.routers = Array.from({ length: threads }, (_, row) => {
      const router = new Router(this.shared.memory, row, "x-weir-");
      router.adopt(slots);
      return router;
    });
  }

  get router(): Router {
    return this.routers[0] as Router;
  }

  slot(name: string) {
    return this.router.health.slotOf(name);
  }

  plan(request = facts(), router = this.router, name = "group"): Plan | Failure {
    const model = this.snapshot.findModel(name) as ResolvedModel;
    return router.plan(this.snapshot, model, { operation: "chat", dialect: "openai-chat" }, request);
  }

  /** Names of the candidates in order, or the code of the refusal. */
  names(request = facts(), router = this.router): string[] | string {
    const plan = this.plan(request, router);
    return isFailure(plan) ? plan.code : plan.candidates.map(({ name }) => name);
  }

  first(request = facts(), router = this.router): string {
    return this.names(request, router)[0] as string;
  }
}

export function memory(): RoutingMemory {
  return allocateRoutingMemory(2, 8);
}
