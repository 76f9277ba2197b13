/** `weir cache`: makes a running gateway forget answers, by its admin API. */
import { parseArgs } from "node:util";
import { loadConfig, renderError } from "../config/load.js";

export interface CacheContext {
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Writes text as it is, line end included. */
  readonly stdout: (text: string) => void;
  readonly stderr: (text: string) => void;
}

const USAGE = `usage: weir cache purge [--policy NAME] [--model NAME] [--key NAME] [--url URL | --config FILE]
The admin key is read from WEIR_ADMIN_KEY. Without a name everything is forgotten.
`;
const ANSWER_MS = 30_000;

interface Wish {
  readonly url: string | undefined;
  readonly config: string | null;
  readonly names: Readonly<Record<string, string>>;
}

/** Runs `weir cache ARGV…`; answers the exit code: 0, or 1 with the reason on stderr. */
export async function cache(argv: readonly string[], context: CacheContext): Promise<number> {
  const wish = readWish(argv, context);
  if (wish === null) {
    context.stderr(USAGE);
    return 1;
  }
  const key = context.environment.WEIR_ADMIN_KEY ?? "";
  if (key === "") {
    context.stderr("WEIR_ADMIN_KEY is not set: the gateway wants to know who asks.\n");
    return 1;
  }
  const url = addressOf(wish, context);
  return url === null ? 1 : purge(url, key, wish, context);
}

function readWish(argv: readonly string[], { environment }: CacheContext): Wish | null {
  try {
    const text = { type: "string" } as const;
    const { values, positionals } = parseArgs({
      args: [...argv],
      allowPositionals: true,
      options: { policy: text, model: text, key: text, url: text, config: text },
    });
    if (positionals.length !== 1 || positionals[0] !== "purge") return null;
    const { policy, model, key } = values;
    const names = Object.entries({ policy, model, api_key: key }).filter(([, name]) => name !== undefined);
    return {
      url: values.url,
      config: values.config ?? (environment.WEIR_CONFIG || null),
      names: Object.fromEntries(names) as Record<string, string>,
    };
  } catch {
    return null;
  }
}

/** The ops listener's address; null, with the reason told, when it cannot be known. */
function addressOf({ url, config }: Wish, { environment, stderr }: CacheContext): string | null {
  if (url !== undefined) return url.replace(/\/+$/, "");
  const loaded = loadConfig(config, environment);
  if (!loaded.ok) {
    for (const error of loaded.errors) stderr(`${renderError(error)}\n`);
    return null;
  }
  const { host, port } = loaded.value.ops.listen;
  const reachable = host === "0.0.0.0" ? "127.0.0.1" : host === "::" ? "::1" : host;
  return `http://${reachable.includes(":") ? `[${reachable}]` : reachable}:${port}`;
}

async function purge(url: string, key: string, { names }: Wish, { stdout, stderr }: CacheContext): Promise<number> {
  try {
    const answer = await fetch(`${url}/admin/v1/cache/purge`, {
      method: "POST",
      headers: { authorization: `Bearer ${key}`, "content-type": "application/json" },
      body: JSON.stringify(names),
      signal: AbortSignal.timeout(ANSWER_MS),
    });
    const body = (await answer.json()) as { purged?: number; error?: { message: string } };
    if (answer.ok) {
      stdout(`${body.purged} answers forgotten\n`);
      return 0;
    }
    stderr(`the gateway refuses: ${body.error?.message ?? answer.status}\n`);
  } catch (error) {
    const { cause, message } = error as Error;
    stderr(`the gateway at ${url} cannot be reached: ${cause instanceof Error ? cause.message : message}\n`);
  }
  return 1;
}
