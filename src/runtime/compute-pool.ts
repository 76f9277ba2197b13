/** The pool of threads for short, pure computing; a thread starts with the first job and ends when idle. */
import { fileURLToPath } from "node:url";
import { Piscina } from "piscina";
import type { Translation, TranslationJob } from "../dialects/hub.js";
import type { TellingJob, ToldAnswer } from "../dialects/tell-operation.js";
import type { Failure } from "../errors.js";
import type { ScreenJob, ScreenResult } from "../guardrails/screen-job.js";
import type { Estimate, EstimateJob, PoolJobs } from "./pool-jobs.js";

export type { Estimate, EstimateJob } from "./pool-jobs.js";

export interface ComputePoolOptions {
  readonly threads: number;
  /** Jobs that may wait for a thread; one more is refused. */
  readonly queue: number;
  /** How long an idle thread stays. */
  readonly idleMs: number;
  /** The file with the jobs, for tests that run from sources. */
  readonly workerFile?: URL;
  readonly execArgv?: readonly string[];
}

export type PoolErrorCode = "pool_full" | "pool_closed" | "pool_failed";

/** Why a job has no result. */
export class PoolError extends Error {
  override readonly name = "PoolError";
  readonly code: PoolErrorCode;

  constructor(code: PoolErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}

export interface PoolStats {
  /** Jobs with a result. */
  readonly done: number;
  /** Jobs that failed, those cut off by `destroy` included. */
  readonly failed: number;
  /** Jobs refused because the queue was full. */
  readonly full: number;
  /** Jobs waiting for a thread. */
  readonly queued: number;
  readonly threads: number;
}

export class ComputePool {
  readonly #options: ComputePoolOptions;
  #pool: Piscina | null = null;
  #waiting = 0;
  #closed = false;
  #done = 0;
  #failed = 0;
  #full = 0;

  constructor(options: ComputePoolOptions) {
    this.#options = options;
  }

  /** Counts the tokens of an attempt. Rejects as `#run` does. */
  estimate(job: EstimateJob): Promise<Estimate> {
    const request = ownCopy(job.request);
    const answer = ownCopy(job.answer);
    return this.#run("estimate", { ...job, request, answer }, [request, answer]);
  }

  /** Finds the tokens of a text; the answer as JSON. Rejects as `#run` does. */
  tokenize(body: Uint8Array): Promise<Uint8Array> {
    const request = ownCopy(body);
    return this.#run("tokenize", { request }, [request]);
  }

  /** Translates a request into its target's wire. Rejects as `#run` does. */
  translate(job: TranslationJob): Promise<Translation | Failure> {
    const body = ownCopy(job.body);
    return this.#run("translate", { ...job, body }, [body]);
  }

  /** Tells a large answer in its caller's dialect. Rejects as `#run` does. */
  tell(job: TellingJob): Promise<ToldAnswer | Failure> {
    const body = ownCopy(job.body);
    return this.#run("tell", { ...job, body }, [body]);
  }

  /** Runs local rules of guardrails over a body. Rejects as `#run` does. */
  screen(job: ScreenJob): Promise<ScreenResult> {
    const body = ownCopy(job.body);
    return this.#run("screen", { ...job, body }, [body]);
  }

  /**
   * Runs a job on a pool thread; the views are moved there. Rejects with a PoolError: `pool_full` at once when
   * the queue is full, `pool_closed` after `destroy`, `pool_failed` when the job threw or its thread died.
   */
  async #run<Name extends keyof PoolJobs>(
    name: Name,
    job: Parameters<PoolJobs[Name]>[0],
    moved: readonly Uint8Array[],
  ): Promise<Awaited<ReturnType<PoolJobs[Name]>>> {
    if (this.#closed) throw new PoolError("pool_closed", "the compute pool is closed");
    const { threads, queue } = this.#options;
    if (this.#waiting >= threads + queue) {
      this.#full += 1;
      throw new PoolError("pool_full", "the compute pool's queue is full");
    }
    this.#waiting += 1;
    try {
      const transferList = moved.map((view) => view.buffer as ArrayBuffer);
      const result = await this.#running().run(job, { name, transferList });
      this.#done += 1;
      return result as Awaited<ReturnType<PoolJobs[Name]>>;
    } catch (error) {
      this.#failed += 1;
      if (this.#closed) throw new PoolError("pool_closed", "the compute pool was closed");
      throw new PoolError("pool_failed", error instanceof Error ? error.message : "the job failed");
    } finally {
      this.#waiting -= 1;
    }
  }

  get stats(): PoolStats {
    const threads = this.#pool?.threads.length ?? 0;
    return {
      done: this.#done,
      failed: this.#failed,
      full: this.#full,
      queued: Math.max(0, this.#waiting - Math.max(threads, 1)),
      threads,
    };
  }

  /** Ends every thread; jobs not finished are rejected. */
  async destroy(): Promise<void> {
    this.#closed = true;
    await this.#pool?.destroy();
    this.#pool = null;
  }

  #running(): Piscina {
    this.#pool ??= new Piscina({
      filename: fileURLToPath(this.#options.workerFile ?? new URL("./pool-jobs.js", import.meta.url)),
      // Loaded when a thread starts; a name that the file does not have would fail the thread.
      name: "estimate",
      minThreads: 0,
      maxThreads: this.#options.threads,
      // Bounded above, where a refusal has a code; one job a thread may be on its way besides those waiting.
      maxQueue: this.#options.queue + this.#options.threads,
      idleTimeout: this.#options.idleMs,
      // The default waits for work by blocking the thread, its timers and sockets with it.
      atomics: "disabled",
      ...(this.#options.execArgv === undefined ? {} : { execArgv: [...this.#options.execArgv] }),
    });
    return this.#pool;
  }
}

/** Views are copied to buffers of their own and moved: cloning a view clones the whole buffer under it. */
function ownCopy(view: Uint8Array): Uint8Array {
  const copy = new Uint8Array(view.byteLength);
  copy.set(view);
  return copy;
}
