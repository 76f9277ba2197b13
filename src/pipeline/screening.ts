/** What the guardrails of one exchange are and what they did. Exists only where a guardrail concerns the exchange. */
import type { Snapshot } from "../config/snapshot.js";
import { type Failure, failure } from "../errors.js";
import type { RemoteAnswer } from "../guardrails/ask-remote.js";
import type { HookPlan, ScreenPlan, ScreenPlans } from "../guardrails/plan.js";
import type { Question } from "../guardrails/rule.js";
import type { Finding } from "../guardrails/screen-body.js";
import type { ScreenJob, ScreenResult } from "../guardrails/screen-job.js";
import type { Cell } from "../observability/metrics.js";
import type { GuardrailAction } from "../usage/event.js";
import type { Exchange } from "./exchange.js";
import type { Node } from "./node.js";

/** What the node has for guardrails. */
export interface Guards {
  /** The plans of a configuration, made at the first question. */
  plansOf(snapshot: Snapshot): ScreenPlans;
  /** Runs local rules over a large body on a pool thread. */
  screen(job: ScreenJob): Promise<ScreenResult>;
  /** Counts what a guardrail did. */
  actions(guardrail: string, action: string): Cell;
}

/** Finds the guardrails that concern this exchange; null = none. */
export function screeningOf(exchange: Exchange, node: Node): Screening | null {
  const { snapshot, view, model } = exchange;
  if (snapshot.traffic.guardrails.length === 0 || view === null || model === null) return null;
  const key = exchange.keyResource;
  const plan = node.guards.plansOf(snapshot).planFor({
    apiKey: key?.name ?? "",
    team: key?.teamId ?? null,
    model: view.model,
    entry: model.entry.name,
    passthroughRoute: exchange.passage?.route.name ?? "",
  });
  return plan === null ? null : new Screening(exchange, node, plan);
}

export class Screening {
  readonly plan: ScreenPlan;
  /** What was done, each action of a guardrail once a direction. */
  readonly actions: GuardrailAction[] = [];
  readonly #exchange: Exchange;
  readonly #node: Node;
  #leaving: AbortController | null = null;

  constructor(exchange: Exchange, node: Node, plan: ScreenPlan) {
    this.#exchange = exchange;
    this.#node = node;
    this.plan = plan;
  }

  /** Ends the calls that are made for this exchange. */
  get signal(): AbortSignal {
    this.#leaving ??= new AbortController();
    return this.#leaving.signal;
  }

  /** The exchange is over: nobody waits for a verdict any more. */
  end(): void {
    this.#leaving?.abort();
  }

  /** What the local rules found: recorded. A failure: one of them blocks. */
  judge(hook: HookPlan, findings: readonly Finding[]): Failure | null {
    let blocking: Finding | null = null;
    for (const finding of findings) {
      const monitors = hook.guardrails[finding.owner]?.mode === "monitor";
      this.#note(hook, finding, monitors ? "monitor" : finding.action);
      if (monitors || finding.action !== "block") continue;
      if (blocking === null || finding.owner < blocking.owner) blocking = finding;
    }
    return blocking === null ? null : this.#refusal(hook, blocking.owner);
  }

  /** What the remote rules said: recorded. A failure: one of them blocks. */
  judgeRemote(hook: HookPlan, answers: readonly RemoteAnswer[]): Failure | null {
    const findings: Finding[] = [];
    for (const { owner, guardrail, verdict, failed } of answers) {
      if (failed !== "") this.#noteFailed(guardrail.name, failed);
      if (verdict.action !== "pass") findings.push({ owner, action: verdict.action, category: verdict.category });
    }
    return this.judge(hook, findings);
  }

  /** Text that no rule can read: whoever must not let pass what it cannot check blocks. */
  judgeUnreadable(hook: HookPlan): Failure | null {
    const opens = hook.direction === "input" ? "failOpen" : "outputFailOpen";
    const owner = hook.guardrails.findIndex((guardrail) => guardrail.mode === "block" && !guardrail[opens]);
    if (owner < 0) return null;
    return this.judge(hook, [{ owner, action: "block", category: "unreadable" }]);
  }

  /** Nobody foresaw it: the operator is told, and the answer ends. */
  fault(error: unknown): Failure {
    this.#node.reportFault(error);
    return failure("internal_error");
  }

  question(hook: HookPlan, texts: readonly string[]): Question {
    return {
      direction: hook.direction,
      texts,
      requestId: this.#exchange.id,
      model: this.#exchange.view?.model ?? "",
      apiKey: this.#exchange.keyResource?.name ?? "",
    };
  }

  #note(hook: HookPlan, { owner, category }: Finding, action: GuardrailAction["action"]): void {
    const name = hook.guardrails[owner]?.name ?? "";
    const hookName = hook.direction;
    if (this.actions.some((one) => one.name === name && one.action === action && one.hook === hookName)) return;
    this.actions.push({ name, action, hook: hookName });
    this.#node.guards.actions(name, action).add(1);
    const { id: request_id } = this.#exchange;
    this.#node.warn("a guardrail acted", { request_id, guardrail: name, action, hook: hookName, category });
  }

  #noteFailed(guardrail: string, reason: string): void {
    this.#node.guards.actions(guardrail, "failed").add(1);
    this.#node.warn("a guardrail could not be asked", { request_id: this.#exchange.id, guardrail, reason });
  }

  /** Names the guardrail, never what it found. */
  #refusal(hook: HookPlan, owner: number): Failure {
    const name = hook.guardrails[owner]?.name ?? "";
    const what = hook.direction === "input" ? "request" : "answer";
    return failure("content_filter", `The guardrail "${name}" blocked the ${what}.`);
  }
}

/** Masks of several guardrails on the same texts, one after the other: of each text what is there now. */
export function remoteMasks(hook: HookPlan, answers: readonly RemoteAnswer[]): readonly RemoteAnswer[] {
  return answers.filter(({ owner, verdict }) => verdict.action === "mask" && hook.guardrails[owner]?.mode === "block");
}
