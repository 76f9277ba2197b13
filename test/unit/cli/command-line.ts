/** What the tests of the commands share: a fake gateway, a directory of files, and a way to run a command. */
import type { ResourcesContext } from "../../../src/config/load.js";
import { contextWith, temporaryDirectory } from "../config/files.js";
import { ADMIN_KEY, FakeGateway } from "./fake-gateway.js";

export interface Said {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

type Command = (
  argv: readonly string[],
  context: ResourcesContext & { stdout: (text: string) => void; stderr: (text: string) => void },
) => Promise<number>;

/** Runs a command as the entry would. No variable that resources refer to is set here: only nodes have those. */
export async function run(command: Command, argv: string[], environment: Record<string, string> = {}): Promise<Said> {
  let stdout = "";
  let stderr = "";
  const code = await command(argv, {
    ...contextWith({ WEIR_ADMIN_KEY: ADMIN_KEY, ...environment }),
    stdout: (text) => {
      stdout += text;
    },
    stderr: (text) => {
      stderr += text;
    },
  });
  return { code, stdout, stderr };
}

export interface Bench {
  readonly gateway: FakeGateway;
  readonly directory: ReturnType<typeof temporaryDirectory>;
  /** The options that lead to the fake gateway. */
  readonly at: string[];
  end(): Promise<void>;
}

/** The gateway's environment has what `FULL` refers to. */
export async function openBench(): Promise<Bench> {
  const gateway = await FakeGateway.start(contextWith({ UPSTREAM_KEY: "sk-from-the-environment" }));
  const directory = temporaryDirectory();
  return {
    gateway,
    directory,
    at: ["--admin", gateway.url, "--timeout", "10"],
    end: async () => {
      directory.remove();
      await gateway.stop();
    },
  };
}

/** Entries of most collections, in an order in which none could be made as it stands. */
export const FULL = `
_format_version: "1"
guardrail_attachments:
  - { guardrail: words, scope_type: model, scope_id: best }
guardrails:
  - { name: words, kind: keyword, patterns: [{ kind: literal, value: secret }] }
budgets:
  - { name: everything, scope: all, limit_usd: 100 }
models:
  - display_name: best
    semantic:
      { embedding_model: fast, default: middle, match: { threshold: 0.5 }, routes: [{ name: a, target: fast, examples: [a] }] }
  - display_name: middle
    routing: { targets: [{ model: fast }] }
  - { display_name: fast, provider: openai, model_name: gpt-4o-mini, provider_key: main }
api_keys:
  - { display_name: ci, key_hash: ${"ab".repeat(32)}, allowed_models: ["*"] }
provider_keys:
  - { display_name: main, provider: openai, api_key: "\${UPSTREAM_KEY}" }
`;
