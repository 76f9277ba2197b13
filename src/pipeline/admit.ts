/**
 * Stage 3: is there room under every limit and budget that concerns the request? All layers admit, or none counts.
 * A target behind a shared name is asked for its own limits when an attempt at it begins.
 */
import type { ModelResource } from "../config/resources.js";
import type { ResolvedModel } from "../config/snapshot.js";
import type { Operation } from "../dialects/dialect.js";
import { type Failure, isFailure } from "../errors.js";
import { admitLayers, admitRequest, type Lease } from "../quota/lease.js";
import type { Limits } from "../quota/limits.js";
import type { MoneyLayer } from "../quota/money.js";
import { guessPromptTokens } from "../quota/window.js";
import type { Candidate } from "../routing/candidate.js";
import { countsHere } from "./count-here.js";
import { useOf } from "./operation-use.js";
import type { Exchange } from "./exchange.js";
import type { Node } from "./node.js";
import type { Stage, StageOutcome } from "./pipeline.js";

/** Output reserved for a request that names no cap of its own, to a model of which too little is known. */
const UNCAPPED_OUTPUT_TOKENS = 256;
const NO_MONEY: readonly MoneyLayer[] = Object.freeze([]);
const NO_LAYERS: ReturnType<Limits["ofModel"]> = Object.freeze([]);

export const admit: Stage = {
  name: "admit",
  needs: "body",
  failures: ["rate_limit_exceeded", "budget_exceeded"],
  run(exchange: Exchange, node: Node): StageOutcome {
    const { keyResource: key, model } = exchange;
    const layers = node.limits.layersFor(key, model, Date.now());
    const money = node.budgets === null || isFree(exchange) ? NO_MONEY : node.budgets.layersFor(key, model);
    if (layers.length === 0 && money.length === 0) return "next";
    const each = likelyOutput(exchange, node);
    const panel = model === null ? 0 : panelSize(exchange, model.entry);
    // An ensemble asks its whole panel, and its judge reads what that says.
    const input = likelyInput(exchange) * (panel + 1) + each * panel;
    const output = each * (panel + 1);
    const micros = money.length === 0 ? 0 : estimate(exchange, node, input, output);
    const lease = admitRequest(node.quota, { layers, money, tokens: input + output, micros });
    if (isFailure(lease)) return refused(node, lease);
    exchange.lease = lease;
    return "next";
  },
};

/**
 * Asks a target that stands behind another name for its own limits, for one attempt.
 * @returns null where it has none, or where the request has passed them under the target's own name
 */
export function admitTarget(exchange: Exchange, node: Node, { model }: Candidate): Lease | Failure | null {
  const admitted = !exchange.inner || (exchange.isPart && exchange.parent?.inner !== true);
  if (admitted && model.entry === exchange.model?.entry) return null;
  const layers = node.limits.ofModel(model.entry.name);
  if (layers.length === 0) return null;
  const lease = admitLayers(node.quota, layers, likelyInput(exchange) + likelyOutput(exchange, node));
  return isFailure(lease) ? refused(node, { ...lease, refusedBy: "target" }) : lease;
}

/**
 * Asks a name with several models behind it, chosen while the request was under way, for its own limits; its targets
 * are asked for theirs by their attempts.
 * @returns null where there is room, which the exchange holds from now on
 */
export function admitChosen(exchange: Exchange, node: Node, { entry }: ResolvedModel): Failure | null {
  const layers = entry.kind === "direct" ? NO_LAYERS : node.limits.ofModel(entry.name);
  if (layers.length === 0) return null;
  const lease = admitLayers(node.quota, layers, likelyInput(exchange) + likelyOutput(exchange, node));
  if (isFailure(lease)) return refused(node, { ...lease, refusedBy: "target" });
  exchange.chosenLease = lease;
  return null;
}

function refused(node: Node, refusal: Failure): Failure {
  node.metrics.cell("weir_limit_refusals_total", refusal.refusedBy).add(1);
  return refusal;
}

/** Costs nothing, so that no budget has a say: a list of models, a count of tokens. */
function isFree({ model, route, method, outgoing }: Exchange): boolean {
  // Whoever looks at a batch that has ended pays for it.
  if (outgoing !== null) return route.operation !== "batches" && (LOOKING.has(method) || KEPT.has(route.operation));
  return model === null || countsHere(route.operation);
}

/** Of what a provider keeps: looking at it, taking it away, and keeping files. */
const LOOKING: ReadonlySet<string> = new Set(["get", "head", "delete", "options"]);
const KEPT: ReadonlySet<Operation> = new Set<Operation>(["files", "responses_items"]);

/** Prompt and output as far as they can be guessed before the call; settled with the true figures. */
function likelyInput({ speech, body }: Exchange): number {
  return useOf(speech.operation).guessesInput ? guessPromptTokens(body.length) : 0;
}

function likelyOutput({ speech, view, model }: Exchange, node: Node): number {
  if (model === null || !useOf(speech.operation).guessesOutput) return 0;
  const cap = view?.maxOutputTokens ?? -1;
  const usual = node.quota.outputs.likely(node.quota.outputs.slotOf(model.entry.name));
  if (usual < 0) return cap >= 0 ? cap : UNCAPPED_OUTPUT_TOKENS;
  return cap >= 0 ? Math.min(cap, usual) : usual;
}

/** Members of the ensemble that the model is, or may choose; 0 = one model answers. */
function panelSize({ snapshot }: Exchange, entry: ModelResource): number {
  if (entry.kind === "ensemble") return entry.ensemble.panel.length;
  if (entry.kind !== "semantic") return 0;
  const { defaultTarget, routes } = entry.semantic;
  const chosen = [defaultTarget, ...routes.map(({ target }) => target)].map((name) => snapshot.findModel(name)?.entry);
  return Math.max(...chosen.map((one) => (one?.kind === "ensemble" ? one.ensemble.panel.length : 0)));
}

function estimate(exchange: Exchange, node: Node, input: number, output: number): number {
  return node.budgets?.estimateMicros(exchange.model, input, output) ?? 0;
}
