/**
 * Keeps the resources up to date with their file: on a change of the file, or when asked. A file with an
 * error changes nothing; what was refused and why stays visible until a good one comes.
 */
import { unwatchFile, watchFile } from "node:fs";
import { renderError, type ResourcesContext } from "../config/load.js";
import type { Resources } from "../config/resources.js";
import type { Logger } from "../observability/logger.js";
import type { Metrics } from "../observability/metrics.js";
import { loadResourceFile } from "./resource-file.js";

const WATCH_MS = 500;
/** Longer than a look takes to come round: a file that is still being written is seen to change once more. */
const SETTLE_MS = 600;

export interface ReloadOptions {
  readonly path: string;
  readonly context: ResourcesContext;
  readonly initial: Resources;
  readonly logger: Logger;
  readonly metrics: Metrics;
  /** Puts new resources in force; throws when they cannot be. */
  apply(resources: Resources): void;
}

/** What `/status/config` says. */
export interface ConfigStatus {
  readonly source: string;
  readonly revision: string;
  readonly loaded_at: string;
  readonly provider_keys: number;
  readonly models: number;
  readonly api_keys: number;
  /** The last file that was not taken, until a good one comes. */
  readonly refused: { readonly at: string; readonly errors: readonly string[] } | null;
}

export class Reloader {
  readonly #options: ReloadOptions;
  #serving: Resources;
  #loadedAt = new Date();
  #refused: ConfigStatus["refused"] = null;
  #settling: NodeJS.Timeout | null = null;

  constructor(options: ReloadOptions) {
    this.#options = options;
    this.#serving = options.initial;
    this.#countRevision();
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
    if (this.#hasOtherText()) this.#settle();
  }

  stop(): void {
    unwatchFile(this.#options.path);
    if (this.#settling !== null) clearTimeout(this.#settling);
  }

  /** Reads the file again and puts it in force if it is good. */
  reload(cause: string): void {
    const { path, context, logger, metrics } = this.#options;
    const result = loadResourceFile(path, context);
    if (!result.ok) {
      this.#refuse(result.errors.map(renderError));
      return;
    }
    try {
      this.#options.apply(result.value);
    } catch (error) {
      this.#refuse([error instanceof Error ? error.message : String(error)]);
      return;
    }
    this.#serving = result.value;
    this.#loadedAt = new Date();
    this.#refused = null;
    this.#countRevision();
    metrics.cell("weir_config_reloads_total", "applied").add(1);
    logger.info({ revision: result.value.revision, cause }, "resources reloaded");
  }

  get status(): ConfigStatus {
    return configStatus(this.#serving, this.#loadedAt, this.#refused);
  }

  #settle(): void {
    if (this.#settling !== null) clearTimeout(this.#settling);
    this.#settling = setTimeout(() => this.reload("file change"), SETTLE_MS);
  }

  #hasOtherText(): boolean {
    const result = loadResourceFile(this.#options.path, this.#options.context);
    return !result.ok || result.value.revision !== this.#serving.revision;
  }

  #refuse(errors: readonly string[]): void {
    this.#refused = { at: new Date().toISOString(), errors };
    this.#options.metrics.cell("weir_config_reloads_total", "refused").add(1);
    this.#options.logger.error(
      { errors, serving: this.#serving.revision },
      "resources refused; the last good ones serve on",
    );
  }

  #countRevision(): void {
    this.#options.metrics.clear("weir_config_revision_info");
    this.#options.metrics.cell("weir_config_revision_info", this.#serving.revision).value = 1;
  }
}

export function configStatus(serving: Resources, loadedAt: Date, refused: ConfigStatus["refused"]): ConfigStatus {
  return {
    source: serving.source,
    revision: serving.revision,
    loaded_at: loadedAt.toISOString(),
    provider_keys: serving.providerKeys.length,
    models: serving.models.length,
    api_keys: serving.apiKeys.length,
    refused,
  };
}
