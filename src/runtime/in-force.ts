/** Which resources are in force, where they came from, and what was last refused: files and NATS both offer theirs here. */
import type { OfferedSet, ResourceSet } from "../config/resource-set.js";
import type { Logger } from "../observability/logger.js";
import type { Metrics } from "../observability/metrics.js";

/** Whoever writes past the API can make any number of errors, of any length. */
const MAX_ERRORS = 100;
const MAX_LENGTH = 500;

export interface InForceOptions {
  readonly initial: OfferedSet;
  readonly logger: Logger;
  readonly metrics: Metrics;
  /** Hands new resources to whoever serves; throws when they cannot be put in force. */
  apply(set: ResourceSet): void;
  /** Resolves when they all have what was handed over last. */
  settled(): Promise<void>;
}

/** What `/status/config` says. */
export interface ConfigStatus {
  readonly source: string;
  readonly revision: string;
  readonly loaded_at: string;
  readonly provider_keys: number;
  readonly models: number;
  readonly api_keys: number;
  /** The last ones that were not taken, until good ones come. */
  readonly refused: { readonly at: string; readonly errors: readonly string[] } | null;
}

export class InForce {
  readonly #options: InForceOptions;
  #serving: OfferedSet;
  /** The last ones that every acceptor has. */
  #settled: OfferedSet;
  #settling: Promise<void> = Promise.resolve();
  #loadedAt = new Date();
  #refused: ConfigStatus["refused"] = null;

  constructor(options: InForceOptions) {
    this.#options = options;
    this.#serving = options.initial;
    this.#settled = options.initial;
    this.#tellRevision();
  }

  get serving(): OfferedSet {
    return this.#serving;
  }

  /** Resolves when every acceptor has those that were last put in force. */
  get settling(): Promise<void> {
    return this.#settling;
  }

  /** Puts them in force; false: they cannot be, and the last good ones serve on. */
  take(set: OfferedSet, cause: string): boolean {
    const { logger, metrics } = this.#options;
    try {
      this.#options.apply(set);
    } catch (error) {
      this.refuse([error instanceof Error ? error.message : String(error)]);
      return false;
    }
    this.#serving = set;
    this.#refused = null;
    this.#settling = this.#options.settled().then(() => {
      // Of two that follow each other closely, the first may be told last.
      if (this.#serving !== set) return;
      this.#settled = set;
      this.#loadedAt = new Date();
    });
    this.#tellRevision();
    metrics.cell("weir_config_reloads_total", "applied").add(1);
    logger.info({ revision: set.revision, source: set.source, cause }, "resources reloaded");
    return true;
  }

  /** Others were offered that are wrong: says so, and nothing changes. */
  refuse(all: readonly string[]): void {
    const errors = all.slice(0, MAX_ERRORS).map((error) => shortened(error));
    if (all.length > errors.length) errors.push(`and ${all.length - errors.length} more`);
    this.#refused = { at: new Date().toISOString(), errors };
    this.#options.metrics.cell("weir_config_reloads_total", "refused").add(1);
    this.#options.logger.error(
      { errors, serving: this.#serving.revision },
      "resources refused; the last good ones serve on",
    );
  }

  get status(): ConfigStatus {
    const { resources, source, revision } = this.#settled;
    return {
      source,
      revision,
      loaded_at: this.#loadedAt.toISOString(),
      provider_keys: resources.providerKeys.length,
      models: resources.models.length,
      api_keys: resources.apiKeys.length,
      refused: this.#refused,
    };
  }

  #tellRevision(): void {
    this.#options.metrics.clear("weir_config_revision_info");
    this.#options.metrics.cell("weir_config_revision_info", this.#serving.revision).value = 1;
  }
}

function shortened(error: string): string {
  return error.length <= MAX_LENGTH ? error : `${error.slice(0, MAX_LENGTH)}…`;
}
