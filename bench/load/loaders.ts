/** Loader processes: what they are told, and how two of them measure over one window. */
import type { ChildProcess } from "node:child_process";
import {
  type Ask,
  expectedAnswer,
  requestBody,
  requestHeaders,
  SURFACE_PATHS,
  scriptOf,
  translatedAnswer,
} from "./answers.js";
import { endChild, scriptArguments, startPinned } from "./children.js";
import type { LoadPlan, LoadResult } from "./plan.js";
import type { RigParameters } from "./results.js";
import type { Variant } from "./scenarios.js";
import { CALLER_KEY, OUTER_CORE, type Target, type Upstream } from "./targets.js";

const DRAIN_MS = 8000;
/** Two loaders begin together; each needs about half a second to start. */
const BEGIN_TOGETHER_MS = 2000;
const START_LIMIT_MS = 15_000;

export interface LoadSettings {
  readonly parameters: Pick<RigParameters, "seconds" | "warmupSeconds">;
  readonly connections: number;
  readonly target: Target;
  readonly upstream: Upstream;
}

export interface Loads {
  readonly load: LoadResult;
  readonly beside: LoadResult | null;
}

/** What a loader is to ask of a target, and what it must get. */
export function planFor({ parameters, connections, target, upstream }: LoadSettings, ask: Ask): LoadPlan {
  const script = scriptOf(ask.model);
  const streamMs = script.deltas * script.gapMs;
  // The gateway's models are all of one provider, which speaks chat.
  const isTranslated = target.name === "gateway" && ask.surface === "messages";
  return {
    host: "127.0.0.1",
    port: target.port(script.kind !== "whole"),
    path: SURFACE_PATHS[ask.surface],
    headers: requestHeaders(ask, CALLER_KEY),
    body: requestBody(ask),
    connections,
    beginAt: 0,
    // Paced streams start evenly spread over one stream's length.
    rampMs: streamMs,
    warmupMs: parameters.warmupSeconds * 1000 + streamMs,
    windowMs: parameters.seconds * 1000,
    drainMs: DRAIN_MS,
    stopAfter: 0,
    expect: isTranslated ? translatedAnswer(ask.model) : expectedAnswer(ask.surface, ask.model),
    watch: [
      { role: "upstream", pids: [upstream.pid] },
      ...(target.pids.length > 0 ? [{ role: "middle" as const, pids: target.pids }] : []),
    ],
  };
}

/** One run of a variant, with its second loader if it has one. */
export async function runLoaders(settings: LoadSettings, { ask, beside }: Variant): Promise<Loads> {
  const plan = planFor(settings, ask);
  if (beside === null) return { load: await runLoader(plan), beside: null };
  const beginAt = Date.now() + BEGIN_TOGETHER_MS;
  const other = startLoader({ ...planFor({ ...settings, connections: beside.connections }, beside.ask), beginAt });
  const watch: LoadPlan["watch"] = [...plan.watch, { role: "beside", pids: [other.pid] }];
  const [load, besideLoad] = await Promise.all([runLoader({ ...plan, beginAt, watch }), other.result]);
  return { load, beside: besideLoad };
}

/** One loader process for one run: no run inherits compiled code or garbage of another. */
export function runLoader(plan: LoadPlan): Promise<LoadResult> {
  return startLoader(plan).result;
}

function startLoader(plan: LoadPlan): { readonly pid: number; readonly result: Promise<LoadResult> } {
  const child = startPinned(OUTER_CORE, process.execPath, scriptArguments("loader.ts"), {
    stdio: ["pipe", "pipe", "inherit"],
  });
  const limit = plan.warmupMs + plan.windowMs + plan.drainMs + START_LIMIT_MS;
  const timer = setTimeout(() => void endChild(child), limit);
  const result = wholeOutput(child).finally(() => clearTimeout(timer));
  child.stdin?.end(JSON.stringify(plan));
  return { pid: child.pid ?? 0, result: result.then((text) => JSON.parse(text) as LoadResult) };
}

function wholeOutput(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    const pieces: Buffer[] = [];
    child.stdout?.on("data", (piece: Buffer) => pieces.push(piece));
    child.once("error", reject);
    child.once("close", (code, signal) => {
      if (code === 0) resolve(Buffer.concat(pieces).toString("utf8"));
      else reject(new Error(`the loader ended with ${code ?? signal}`));
    });
  });
}
