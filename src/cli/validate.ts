/** `weir validate`: checks the two files and says everything that is wrong with them. */
import { loadConfig, type ResourcesContext, renderError } from "../config/load.js";
import { loadPrices, NO_PRICES } from "../config/prices.js";
import type { ConfigError } from "../config/result.js";
import { tlsProblem } from "../runtime/tls-files.js";
import { loadResourceFile } from "../runtime/resource-file.js";
import { readFileOptions } from "./file-options.js";

export interface ValidateContext extends Omit<ResourcesContext, "ignoreUnsupported"> {
  /** Writes text as it is, line end included. */
  readonly stdout: (text: string) => void;
  readonly stderr: (text: string) => void;
}

const USAGE = "usage: weir validate [--config FILE] [--resources FILE] [--ignore-unsupported]\n";

/**
 * Checks weir.yaml together with the environment, and the resource file where one is named. Errors go to
 * stderr, one a line, as `file:path: message`. Answers the exit code: 0 = all is well, 1 = it is not.
 */
export async function validate(argv: readonly string[], context: ValidateContext): Promise<number> {
  const options = readFileOptions(argv, context.environment);
  if (options === null) {
    context.stderr(USAGE);
    return 1;
  }
  const errors: ConfigError[] = [];
  const summary: string[] = [];
  const config = loadConfig(options.config, context.environment);
  if (config.ok) {
    summary.push(options.config ?? "built-in configuration");
    const message = tlsProblem(config.value.listen.tls);
    const file = options.config ?? "environment";
    if (message !== null) errors.push({ file, path: "listen.tls", message, line: null });
    const { file: priceFile } = config.value.pricing;
    const prices = priceFile === null ? NO_PRICES : loadPrices(priceFile);
    if (!prices.ok) errors.push(...prices.errors);
    else if (priceFile !== null) summary.push(`${priceFile}: ${prices.value.rows.length} prices`);
  } else errors.push(...config.errors);
  if (options.resources !== null) {
    const resources = loadResourceFile(options.resources, { ...context, ignoreUnsupported: options.ignoreUnsupported });
    if (resources.ok) {
      const { revision, providerKeys, models, apiKeys } = resources.value;
      const counts = `${providerKeys.length} provider keys, ${models.length} models, ${apiKeys.length} API keys`;
      summary.push(`${options.resources}: ${counts} (revision ${revision})`);
      for (const skipped of resources.ignored) context.stderr(`ignored: ${renderError(skipped)}\n`);
    } else {
      errors.push(...resources.errors);
    }
  }
  for (const error of errors) context.stderr(`${renderError(error)}\n`);
  if (errors.length > 0) return 1;
  context.stdout(`OK: ${summary.join("; ")}\n`);
  return 0;
}
