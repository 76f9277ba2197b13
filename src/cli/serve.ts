/** `weir serve`: loads the files, starts the gateway, and lives by its signals. */
import { loadConfig, renderError, type ResourcesContext } from "../config/load.js";
import { loadPrices, NO_PRICES } from "../config/prices.js";
import type { ResourceSet } from "../config/resource-set.js";
import type { WeirConfig } from "../config/schema.js";
import { type EmbeddedDefault, embeddedDefault } from "../providers/embedded-default.js";
import { defaultEntries } from "../runtime/default-entries.js";
import { type Addresses, Gateway } from "../runtime/gateway.js";
import { loadResourceFileSet } from "../runtime/resource-file.js";
import { readFileOptions } from "./file-options.js";

export interface ServeContext extends ResourcesContext {
  /** Writes text as it is, line end included. */
  readonly stdout: (text: string) => void;
  readonly stderr: (text: string) => void;
}

const SAME_SIGNAL_MS = 250;
const USAGE = "usage: weir serve [--config FILE] [--resources FILE] [--ignore-unsupported]\n";

/** Exit codes: 0 after a drain, 1 for bad files or a taken address, 2 for a bad command line. */
export async function serve(argv: readonly string[], context: ServeContext): Promise<number> {
  const options = readFileOptions(argv, context.environment);
  if (options === null) {
    context.stderr(USAGE);
    return 2;
  }
  const config = loadConfig(options.config, context.environment);
  const loading: ResourcesContext = { ...context, ignoreUnsupported: options.ignoreUnsupported };
  const loaded = options.resources === null ? null : loadResourceFileSet(options.resources, loading);
  const prices = config.ok && config.value.pricing.file !== null ? loadPrices(config.value.pricing.file) : NO_PRICES;
  const errors = [config, loaded, prices].flatMap((result) => (result === null || result.ok ? [] : result.errors));
  for (const error of errors) context.stderr(`${renderError(error)}\n`);
  if (!config.ok || loaded?.ok === false || !prices.ok) return 1;
  const fallback = loaded === null ? embeddedDefault(context.environment) : null;
  const resources = loaded === null ? setOf(fallback as EmbeddedDefault) : loaded.value;
  const gateway = new Gateway({
    config: config.value,
    resources,
    resourcesPath: options.resources,
    context: loading,
    prices: prices.value.rows,
  });
  // From here on: without a listener the signal would end the process, also while it is still starting, or mean
  // nothing where it is the first of its container.
  process.on("SIGHUP", () => gateway.reload());
  const starting = gateway.start();
  const ended = untilTold(gateway, starting, context);
  const addresses = await starting;
  if (addresses === null) {
    await gateway.stop();
    context.stderr("weir: cannot start; the log says why\n");
    return 1;
  }
  announce(config.value, addresses, context);
  if (fallback !== null && gateway.servesGiven) introduce(config.value, addresses, fallback, context);
  await ended;
  return 0;
}

function setOf({ resources }: EmbeddedDefault): ResourceSet {
  return { resources, entries: defaultEntries(resources) };
}

function announce(config: WeirConfig, addresses: Addresses, context: ServeContext): void {
  const scheme = config.listen.tls === null ? "http" : "https";
  context.stderr(`weir: serving on ${scheme}://${hostText(config.listen.host)}:${addresses.port}\n`);
  context.stderr(
    `weir: health, metrics and status on http://${hostText(config.ops.listen.host)}:${addresses.opsPort}\n`,
  );
}

/** Without resources: say what can be reached, and give a line that works when pasted. */
function introduce(
  config: WeirConfig,
  addresses: Addresses,
  fallback: { plainKey: string; providers: readonly string[] },
  context: ServeContext,
): void {
  const scheme = config.listen.tls === null ? "http" : "https";
  const url = `${scheme}://${hostText(config.listen.host)}:${addresses.port}/v1/chat/completions`;
  const found = fallback.providers.length === 0 ? "none found in the environment" : fallback.providers.join(", ");
  const body = '{"model":"simulator","messages":[{"role":"user","content":"Hello"}]}';
  context.stderr(
    [
      "weir: no resource file given, so this is the embedded default:",
      `weir:   providers: simulator (built in); ${found}`,
      `weir:   API key:   ${fallback.plainKey}`,
      "weir: try it:",
      `curl ${url} -H 'Authorization: Bearer ${fallback.plainKey}' -H 'Content-Type: application/json' -d '${body}'`,
      "",
    ].join("\n"),
  );
}

/** A wildcard address is not one to call; loopback is where it can be tried. */
function hostText(host: string): string {
  if (host === "0.0.0.0" || host === "::") return "127.0.0.1";
  return host.includes(":") ? `[${host}]` : host;
}

/**
 * Resolves when the gateway has ended. First SIGTERM or SIGINT drains, the second ends at once; both as soon as it has
 * started.
 */
function untilTold(gateway: Gateway, starting: Promise<unknown>, context: ServeContext): Promise<void> {
  return new Promise((done) => {
    let told = 0;
    let toldAt = Number.NEGATIVE_INFINITY;
    const heard = () => {
      // A signal to the whole process group arrives twice, once of them through the starter.
      const now = performance.now();
      if (now - toldAt < SAME_SIGNAL_MS) return;
      toldAt = now;
      told += 1;
      const end = told === 1 ? () => gateway.drain() : () => gateway.stop();
      if (told <= 2) void starting.then(end).then(done);
    };
    process.on("SIGTERM", heard);
    process.on("SIGINT", heard);
    if (context.environment.WEIR_DEBUG_HOOKS === "1") process.on("SIGUSR2", () => gateway.throwInAcceptor());
  });
}
