/** A node as far as its resources go, on a bucket in memory. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { FleetConfig } from "../../../src/cluster/config.js";
import type { ConfigChange } from "../../../src/cluster/config-writer.js";
import type { Connection } from "../../../src/cluster/connection.js";
import { fleetNames } from "../../../src/cluster/subjects.js";
import { parseEntries } from "../../../src/config/load.js";
import type { OfferedSet, RawEntry } from "../../../src/config/resource-set.js";
import type { Raw, ResourcesContext } from "../../../src/config/entry.js";
import { FakeLink, type FakeNats } from "./fake-bucket.js";

const CONTEXT: ResourcesContext = {
  providers: new Set(["openai"]),
  adapters: new Set(),
  operations: new Set(),
  patternProblem: () => null,
  environment: { VENDOR_KEY: "filled in" },
};

export const PROVIDER_KEY = { display_name: "main", provider: "openai", api_key: "sk-secret" };
export const MODEL = { display_name: "gpt", provider: "openai", model_name: "gpt", provider_key: "main" };

/** Entries of a file. */
export const FILE: readonly RawEntry[] = [
  { collection: "provider_keys", name: "main", value: PROVIDER_KEY },
  { collection: "models", name: "gpt", value: MODEL },
];

export class ConfigNode {
  readonly link: FakeLink;
  readonly config: FleetConfig;
  readonly taken: OfferedSet[] = [];
  readonly refused: (readonly string[])[] = [];
  readonly log: { readonly level: string; readonly message: string }[] = [];
  readonly path: string;
  readonly #directory = mkdtempSync(join(tmpdir(), "weir-config-"));

  constructor(nats: FakeNats, file: readonly RawEntry[] | null) {
    this.link = new FakeLink(nats);
    this.path = join(this.#directory, "resources-snapshot.json");
    const tell = (level: string) => (_fields: object, message: string) => this.log.push({ level, message });
    this.config = new FleetConfig({
      connection: this.link as unknown as Connection,
      names: fleetNames("weir"),
      replicas: 1,
      fleet: "weir",
      node: "here",
      log: { info: tell("info"), warn: tell("warn"), error: tell("error") },
      house: {
        given: () => this.taken.at(-1)?.entries ?? file,
        path: this.path,
        read: (entries, origin) => parseEntries(entries, CONTEXT, origin),
        take: (set) => {
          this.taken.push(set);
          return true;
        },
        settled: () => Promise.resolve(),
        refuse: (errors) => this.refused.push(errors),
      },
    });
    this.config.start();
  }

  /** Names of the entries that were last taken, as `collection/name`. */
  get names(): string[] {
    return (this.taken.at(-1)?.entries ?? []).map(({ collection, name }) => `${collection}/${name}`);
  }

  /** Puts an entry, or with null takes it away. */
  change(collection: ConfigChange["collection"], name: string, value: Raw | null) {
    const action = value === null ? "delete" : "put";
    const who = { admin: "abc", address: "127.0.0.1" };
    return this.config.writer.change({ collection, name, action, ...who, decide: () => ({ value }) });
  }

  async dispose(): Promise<void> {
    await this.config.stop();
    rmSync(this.#directory, { recursive: true, force: true });
  }
}
