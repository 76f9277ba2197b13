/**
 * An ensemble: the panel's members answer at once and unseen, then the judge writes the caller's answer from what
 * they said. The judge's call is the request's own attempt, so that it streams where the caller streams.
 */
import type { EnsembleModel } from "../config/resources.js";
import type { PanelMember } from "../config/traffic.js";
import { type BodyEdit, editBody, planEdits } from "../dialects/body-edits.js";
import { conversationOf } from "../dialects/conversation.js";
import { parseObject } from "../dialects/hub.js";
import { type Failure, failure, isFailure } from "../errors.js";
import { type PanelAnswer, synthesisTurn } from "../routing/ensemble.js";
import { endFaulty } from "./end-faulty.js";
import { leaveEarly } from "./client-left.js";
import type { Exchange, WorkUnderWay } from "./exchange.js";
import { takeNewBody } from "./new-body.js";
import type { Node } from "./node.js";
import type { StageOutcome } from "./pipeline.js";
import { refuse } from "./refuse.js";
import { sendTo } from "./send-to.js";
import { settle } from "./settle.js";
import { voidAdmission } from "./settle-leases.js";
import { SubCall, type SubCallAnswer } from "./sub-call.js";
import { timeOver } from "./time-over.js";

export function beginEnsemble(exchange: Exchange, node: Node, entry: EnsembleModel): StageOutcome {
  const bodies = conversationIn(exchange) ?? memberBodies(exchange, node, entry.ensemble.panel);
  if (isFailure(bodies)) {
    // Nothing has been done for it: it has never been admitted.
    if (exchange.attempts === 0) voidAdmission(exchange, node);
    return bodies;
  }
  new EnsembleRun(exchange, node, entry).begin(bodies);
  return "under-way";
}

/** Why the body is not one conversation that needs no tools; null = it is. */
function conversationIn(exchange: Exchange): Failure | null {
  const form = conversationOf(exchange.route.dialect.id);
  const body = parseObject(exchange.body);
  if (form === null || body === null) return failure("invalid_request_error", "The body is not a JSON object.");
  const tools = form.toolField(body);
  if (tools !== null) {
    return failure("invalid_request_error", "An ensemble of models cannot call tools.", tools);
  }
  if (form.withUserTurn(body, "") === null) {
    return failure("invalid_request_error", "An ensemble of models takes one conversation.", "prompt");
  }
  return null;
}

/**
 * What each member is sent: the caller's bytes, unstreamed, with what the member has of its own. Members that have
 * nothing of their own share one body; every other one takes its part of the memory for bodies.
 */
function memberBodies(exchange: Exchange, node: Node, panel: readonly PanelMember[]): readonly Buffer[] | Failure {
  const bodies = new Map<string, Buffer>();
  const each: Buffer[] = [];
  for (const member of panel) {
    const edits = editsFor(exchange, member);
    const name = JSON.stringify(edits);
    const body = bodies.get(name) ?? withEdits(exchange.body, edits);
    if (isFailure(body)) return body;
    const isNew = !bodies.has(name) && body !== exchange.body;
    if (isNew && !node.takeBodyMemory(exchange, body.length)) return failure("overloaded");
    bodies.set(name, body);
    each.push(body);
  }
  return each;
}

function editsFor({ route }: Exchange, { temperature, seed }: PanelMember): BodyEdit[] {
  const edits: BodyEdit[] = [
    { kind: "remove", path: "stream" },
    { kind: "remove", path: "stream_options" },
  ];
  if (temperature !== null) edits.push({ kind: "set", path: "temperature", value: temperature });
  const takesSeed = conversationOf(route.dialect.id)?.seed === true;
  if (seed !== null && takesSeed) edits.push({ kind: "set", path: "seed", value: seed });
  return edits;
}

function withEdits(body: Buffer, edits: readonly BodyEdit[]): Buffer | Failure {
  const plan = planEdits(edits);
  return plan === null ? body : editBody(body, plan, []);
}

class EnsembleRun implements WorkUnderWay {
  readonly #exchange: Exchange;
  readonly #node: Node;
  readonly #entry: EnsembleModel;
  readonly #calls: SubCall[] = [];
  readonly #answers = new Map<number, PanelAnswer>();
  readonly #deadline: number;
  #open = 0;
  #left = false;

  constructor(exchange: Exchange, node: Node, entry: EnsembleModel) {
    this.#exchange = exchange;
    this.#node = node;
    this.#entry = entry;
    const { timeoutMs } = entry.ensemble;
    const own = timeoutMs > 0 ? performance.now() + timeoutMs : Number.POSITIVE_INFINITY;
    this.#deadline = Math.min(exchange.deadline, own);
  }

  begin(bodies: readonly Buffer[]): void {
    this.#exchange.work = this;
    const { panel } = this.#entry.ensemble;
    this.#open = panel.length;
    for (const [index, member] of panel.entries()) {
      const call = new SubCall(this.#exchange, this.#node, {
        route: this.#exchange.route,
        model: member.model,
        body: bodies[index] as Buffer,
        deadline: this.#deadline,
      });
      this.#calls.push(call);
      call.answer
        .then((answer) => this.#take(index, member.model, answer))
        .catch((error: unknown) => endFaulty(this.#exchange, this.#node, error));
    }
  }

  /** Settled when the calls are, whose tokens are the request's. */
  cancel(): void {
    if (this.#left) return;
    this.#left = true;
    leaveEarly(this.#exchange, this.#node);
    for (const call of this.#calls) call.cancel();
  }

  tick(now: number): void {
    for (const call of this.#calls) call.tick(now);
  }

  #take(index: number, model: string, answer: SubCallAnswer): void {
    this.#open -= 1;
    const text = this.#left ? "" : this.#textOf(answer);
    if (text.trim() !== "") this.#answers.set(index, { model, text });
    if (this.#open > 0) return;
    if (this.#left) settle.run(this.#exchange, this.#node);
    else this.#endPanel();
  }

  /** "" = the member has not answered, or nothing that can be read. */
  #textOf({ status, body }: SubCallAnswer): string {
    try {
      const parsed = status >= 200 && status < 300 ? parseObject(body) : null;
      return parsed === null ? "" : (conversationOf(this.#exchange.route.dialect.id)?.answerText(parsed) ?? "");
    } catch (error) {
      this.#node.reportFault(error);
      return "";
    }
  }

  #endPanel(): void {
    const outcome = this.#outcome();
    if (!isFailure(outcome)) return;
    refuse(this.#exchange, this.#node, outcome);
    settle.run(this.#exchange, this.#node);
  }

  #outcome(): StageOutcome {
    const { panel, minResponses } = this.#entry.ensemble;
    if (performance.now() >= this.#exchange.deadline) return timeOver();
    if (this.#answers.size < minResponses) {
      const message = `Only ${this.#answers.size} of the ensemble's ${panel.length} models answered.`;
      return failure("transport_error", `${message} At least ${minResponses} must.`);
    }
    try {
      return this.#askJudge() ?? sendTo(this.#exchange, this.#node, this.#entry.ensemble.judge.model);
    } catch (error) {
      this.#node.reportFault(error);
      return failure("internal_error");
    }
  }

  /** The request becomes the judge's. */
  #askJudge(): Failure | null {
    const exchange = this.#exchange;
    const { dialect } = exchange.route;
    const inOrder = [...this.#answers].sort(([one], [other]) => one - other).map(([, answer]) => answer);
    const turn = synthesisTurn(this.#entry.ensemble.judge.synthesisPrompt, inOrder);
    const body = parseObject(exchange.body);
    const asked = body === null ? null : (conversationOf(dialect.id)?.withUserTurn(body, turn) ?? null);
    if (asked === null) return failure("internal_error");
    const before = exchange.body.length;
    const problem = takeNewBody(exchange, asked);
    const more = exchange.body.length - before;
    if (problem !== null || more <= 0 || this.#node.takeBodyMemory(exchange, more)) return problem;
    return failure("overloaded");
  }
}
