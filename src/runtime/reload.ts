/**
 * Keeps the resources up to date with their file: on a change of the file, or when asked. A file with an
 * error changes nothing; what was refused and why stays visible until a good one comes.
 */
import { unwatchFile, watchFile } from "node:fs";
import { renderError, type ResourcesContext } from "../config/load.js";
import type { Logger } from "../observability/logger.js";
import type { InForce } from "./in-force.js";
import { loadResourceFileSet } from "./resource-file.js";

const WATCH_MS = 500;
/** Longer than a look takes to come round: a file that is still being written is seen to change once more. */
const SETTLE_MS = 600;

export interface ReloadOptions {
  readonly path: string;
  readonly context: ResourcesContext;
  readonly inForce: InForce;
  readonly logger: Logger;
}

export class Reloader {
  readonly #options: ReloadOptions;
  /** Of the file as it was last read. */
  #revision: string;
  #settling: NodeJS.Timeout | null = null;
  #retired = false;
  #told = false;

  /** `revision` is that of the file as it has been read already. */
  constructor(options: ReloadOptions, revision: string) {
    this.#options = options;
    this.#revision = revision;
  }

  /**
   * Looks at the file twice a second, by its stat: that also sees renames and mounted volumes change. It is
   * read once it has rested: half a file may well be a valid one that lacks half of the keys.
   */
  watch(): void {
    watchFile(this.#options.path, { interval: WATCH_MS, persistent: false }, (now, before) => {
      if (now.mtimeMs !== before.mtimeMs || now.size !== before.size || now.ino !== before.ino) this.#settle();
    });
    // What was written between the first reading and now, nobody has seen.
    if (!this.#retired && this.#hasOtherText()) this.#settle();
  }

  /** The resources come from NATS from now on: the file is not read any more. */
  retire(): void {
    this.#retired = true;
  }

  stop(): void {
    unwatchFile(this.#options.path);
    if (this.#settling !== null) clearTimeout(this.#settling);
  }

  /** Reads the file again and puts it in force if it is good. */
  reload(cause: string): void {
    const { path, context, inForce, logger } = this.#options;
    if (this.#retired) {
      if (!this.#told) logger.warn({ file: path, cause }, "the resources are those in NATS: the file is not read");
      this.#told = true;
      return;
    }
    const result = loadResourceFileSet(path, context);
    if (!result.ok) {
      inForce.refuse(result.errors.map(renderError));
      return;
    }
    const { source, revision } = result.value.resources;
    if (inForce.take({ ...result.value, source, revision }, cause)) this.#revision = revision;
  }

  #settle(): void {
    if (this.#settling !== null) clearTimeout(this.#settling);
    this.#settling = setTimeout(() => this.reload("file change"), SETTLE_MS);
  }

  #hasOtherText(): boolean {
    const result = loadResourceFileSet(this.#options.path, this.#options.context);
    return !result.ok || result.value.resources.revision !== this.#revision;
  }
}
