#!/usr/bin/env node
/** The entry: reads the command line and runs a command. */
import { apply } from "./cli/apply.js";
import { cache } from "./cli/cache.js";
import { diff } from "./cli/diff.js";
import { exportResources } from "./cli/export.js";
import { get } from "./cli/get.js";
import { keys } from "./cli/keys.js";
import { usage } from "./cli/usage.js";
import { validate } from "./cli/validate.js";
import { loadConfig } from "./config/load.js";
import { OPERATIONS } from "./dialects/dialect.js";
import { patternProblem } from "./guardrails/pattern.js";
import { PROVIDER_IDS } from "./providers/catalog.js";
import { ADAPTERS } from "./providers/provider.js";

const HELP = `weir: one address in front of every model provider

usage: weir COMMAND [OPTIONS]

  weir serve      run the gateway           [--config FILE] [--resources FILE] [--ignore-unsupported]
  weir validate   check the files           [--config FILE] [--resources FILE] [--ignore-unsupported]
  weir usage      tail or sum usage events  tail | sum --by key,model  [--nats]
  weir cache      forget cached answers     purge [--policy NAME] [--model NAME] [--key NAME]

  These ask a running gateway by its admin API:
  weir get        show its resources        COLLECTION [NAME] [--json | --yaml]
  weir export     all of them as one file   [-o FILE]
  weir diff       compare them with a file  -f FILE [--prune]
  weir apply      make them those of a file -f FILE [--prune] [--dry-run]
  weir keys       callers' API keys         create NAME [--models GLOB,…] | delete NAME
`;

const context = {
  providers: new Set<string>(PROVIDER_IDS),
  adapters: new Set<string>(ADAPTERS),
  operations: new Set<string>(OPERATIONS),
  patternProblem,
  environment: process.env,
  stdout: (text: string) => void process.stdout.write(text),
  stderr: (text: string) => void process.stderr.write(text),
};

async function run(argv: readonly string[]): Promise<number> {
  const [command, ...rest] = argv;
  switch (command) {
    case "serve":
      return runServe(rest);
    case "validate":
      return validate(rest, context);
    case "usage":
      return runUsage(rest);
    case "cache":
      return cache(rest, context);
    case "get":
      endOnClosedPipe();
      return get(rest, context);
    case "export":
      endOnClosedPipe();
      return exportResources(rest, context);
    case "diff":
      endOnClosedPipe();
      return diff(rest, context);
    case "apply":
      return apply(rest, context);
    case "keys":
      return keys(rest, context);
    case "help":
    case "--help":
    case "-h":
      process.stdout.write(HELP);
      return 0;
    default:
      process.stderr.write(command === undefined ? HELP : `weir: unknown command "${command}"\n\n${HELP}`);
      return 2;
  }
}

async function runServe(argv: readonly string[]): Promise<number> {
  // uWebSockets.js reads this when it is loaded; its own default of 4 KiB refuses what real clients send.
  process.env.UWS_HTTP_MAX_HEADERS_SIZE ??= "32768";
  const { serve } = await import("./cli/serve.js");
  return serve(argv, context);
}

function runUsage(argv: readonly string[]): Promise<number> {
  const stop = new AbortController();
  process.once("SIGINT", () => stop.abort());
  process.once("SIGTERM", () => stop.abort());
  endOnClosedPipe();
  const config = loadConfig(process.env.WEIR_CONFIG || null, process.env);
  return usage(argv, {
    stdout: process.stdout,
    stderr: process.stderr,
    dataDir: config.ok ? config.value.data_dir : "weir-data",
    environment: process.env,
    signal: stop.signal,
  });
}

/** "| head" has seen enough: that is no failure. */
function endOnClosedPipe(): void {
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code !== "EPIPE") throw error;
    process.exit(0);
  });
}

process.exitCode = await run(process.argv.slice(2));
