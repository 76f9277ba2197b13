/** Requests that are whole before a target is asked: those that go to a provider key and not to a model. */
import type { DirectModel, ProviderKeyResource } from "../config/resources.js";
import type { ResolvedModel } from "../config/snapshot.js";
import { DEFAULT_COOLDOWN } from "../config/traffic.js";
import type { AnswerFilter, FilteredHead } from "../providers/answer-filter.js";
import { withBodyType } from "../providers/target-headers.js";
import type { Target } from "../providers/target.js";
import { Plan, type PlannedCandidate } from "../routing/plan.js";
import { NO_SLOT } from "../routing/slots.js";
import { Attempt } from "./attempt.js";
import type { Exchange } from "./exchange.js";
import type { Node } from "./node.js";
import { filledHeaders } from "./request-variables.js";
import type { StageOutcome } from "./pipeline.js";

export interface Outgoing {
  /** In capitals. */
  readonly method: string;
  /** Path and query at the target. */
  readonly path: string;
  /** The caller's headers that go along: names in lower case and values alternate. */
  readonly forwarded: readonly string[];
  /** Of the body; "" = there is none, or it does not say. */
  readonly contentType: string;
  readonly body: Buffer | readonly Buffer[];
  /** The answer passes as it comes, whatever its status; what is read of it is read on the side. */
  readonly verbatim: boolean;
  /** What is done to an answer's bytes; null = nothing. */
  answerFilter(head: FilteredHead): AnswerFilter | null;
}

/** Where the request goes; settled before anything is admitted. `model`: what its use counts for. */
export function goTo(exchange: Exchange, target: Target, model: ResolvedModel): void {
  const { direct } = model;
  if (direct === null) throw new Error("a provider key serves one model at a time");
  exchange.model = model;
  exchange.plan = new Plan([{ name: model.name, model: direct, target, slot: NO_SLOT }], null, null);
}

/** Sends it. */
export function launchOutgoing(exchange: Exchange, node: Node, candidate: PlannedCandidate): StageOutcome {
  const { outgoing } = exchange;
  if (outgoing === null) throw new Error("there is nothing to send");
  const headers = withBodyType(filledHeaders(exchange, candidate, outgoing.forwarded), outgoing.contentType);
  new Attempt(exchange, node, candidate, null).start(outgoing.body, headers);
  return "under-way";
}

/** What stands for a model where none is configured: limits and budgets of the key and of the provider hold, and no other. */
export function unnamedModel(providerKey: ProviderKeyResource, upstreamModel: string): ResolvedModel {
  const entry: DirectModel = {
    kind: "direct",
    name: "",
    provider: providerKey.provider,
    modelName: upstreamModel,
    providerKey: providerKey.name,
    rateLimit: null,
    strict: false,
    timeoutMs: null,
    streamTimeoutMs: null,
    retries: null,
    allowedCidrs: [],
    cooldown: DEFAULT_COOLDOWN,
    backgroundCheck: null,
    cost: null,
    embedding: null,
    autoPromptCaching: null,
  };
  return { name: "", entry, direct: { entry, providerKey, upstreamModel }, allowedAddresses: null };
}
