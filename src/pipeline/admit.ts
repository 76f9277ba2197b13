/**
 * Stage 3: is there room under every limit and budget that concerns the request? All layers admit, or none counts.
 * A target behind a shared name is asked for its own limits when an attempt at it begins.
 */
import type { ModelResource } from "../config/resources.js";
import type { ResolvedModel } from "../config/snapshot.js";
import type { Operation } from "../dialects/dialect.js";
import { type Failure, isFailure } from "../errors.js";
import { admitOrWant, admitRequest, type Demand, type Lease, WANTING, type Wanting } from "../quota/lease.js";
import type { MoneyLayer } from "../quota/money.js";
import { guessPromptTokens } from "../quota/window.js";
import type { Candidate } from "../routing/candidate.js";
import { awaitRoom, canWait, type Room } from "./await-room.js";
import { countsHere } from "./count-here.js";
import { useOf } from "./operation-use.js";
import type { Exchange } from "./exchange.js";
import type { Node } from "./node.js";
import type { Stage, StageOutcome } from "./pipeline.js";

/** Output reserved for a request that names no cap of its own, to a model of which too little is known. */
const UNCAPPED_OUTPUT_TOKENS = 256;
const NO_MONEY: readonly MoneyLayer[] = Object.freeze([]);

export const admit: Stage = {
  name: "admit",
  needs: "body",
  failures: ["rate_limit_exceeded", "budget_exceeded"],
  run(exchange: Exchange, node: Node): StageOutcome {
    const room = roomFor(exchange, node, canWait(node));
    if (room !== WANTING) return take(exchange, node, room);
    return awaitRoom(
      exchange,
      node,
      (waits) => roomFor(exchange, node, waits),
      (found) => take(exchange, node, found),
    );
  },
};

function take(exchange: Exchange, node: Node, room: Room): StageOutcome {
  if (isFailure(room)) return refused(node, room);
  exchange.lease = room;
  return "next";
}

/** The limits in force now: they may have been replaced while the request waited. */
function roomFor(exchange: Exchange, node: Node, waits: boolean): Room | Wanting {
  const { keyResource: key, model } = exchange;
  const layers = node.limits.layersFor(key, model, Date.now());
  const money = node.budgets === null || isFree(exchange) ? NO_MONEY : node.budgets.layersFor(key, model);
  if (layers.length === 0 && money.length === 0) return null;
  const each = likelyOutput(exchange, node);
  const panel = model === null ? 0 : panelSize(exchange, model.entry);
  // An ensemble asks its whole panel, and its judge reads what that says.
  const input = likelyInput(exchange) * (panel + 1) + each * panel;
  const output = each * (panel + 1);
  const micros = money.length === 0 ? 0 : estimate(exchange, node, input, output);
  return ask(node, { layers, money, tokens: input + output, micros }, waits);
}

function ask({ quota }: Node, demand: Demand, waits: boolean): Lease | Failure | Wanting {
  return waits ? admitOrWant(quota, demand) : admitRequest(quota, demand);
}

/**
 * Asks a target that stands behind another name for its own limits, for one attempt.
 * @returns null where it has none, or where the request has passed them under the target's own name
 */
export function admitTarget(exchange: Exchange, node: Node, { model }: Candidate, waits: boolean): Room | Wanting {
  const admitted = !exchange.inner || (exchange.isPart && exchange.parent?.inner !== true);
  if (admitted && model.entry === exchange.model?.entry) return null;
  const room = roomAt(exchange, node, model.entry.name, waits);
  return isFailure(room) ? refused(node, { ...room, refusedBy: "target" }) : room;
}

/**
 * Asks a name with several models behind it, chosen while the request was under way, for its own limits, and goes on
 * where there is room, which the exchange holds from then on; its targets are asked for theirs by their attempts.
 */
export function admitChosen(
  exchange: Exchange,
  node: Node,
  { entry }: ResolvedModel,
  goOn: (refusal: Failure | null) => StageOutcome,
): StageOutcome {
  if (entry.kind === "direct") return goOn(null);
  const look = (waits: boolean) => roomAt(exchange, node, entry.name, waits);
  const goOnWith = (room: Room) => {
    if (isFailure(room)) return goOn(refused(node, { ...room, refusedBy: "target" }));
    exchange.chosenLease = room;
    return goOn(null);
  };
  const room = look(canWait(node));
  return room === WANTING ? awaitRoom(exchange, node, look, goOnWith) : goOnWith(room);
}

/** Under a configured model's own limits. */
function roomAt(exchange: Exchange, node: Node, entryName: string, waits: boolean): Room | Wanting {
  const layers = node.limits.ofModel(entryName);
  if (layers.length === 0) return null;
  const tokens = likelyInput(exchange) + likelyOutput(exchange, node);
  return ask(node, { layers, money: NO_MONEY, tokens, micros: 0 }, waits);
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
