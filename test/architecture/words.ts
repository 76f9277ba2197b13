/** Laws on the words that may stand in the tree: vendors, the environment, this machine. */
import { GUARDRAIL_SCHEMAS } from "../../src/config/schema-guardrails.js";
import { DIALECTS } from "../../src/dialects/dialect.js";
import type { Law } from "./law.js";
import { lineOf, type SourceFile, type SyntaxNode, type Tree } from "./tree.js";

/** Words that name a vendor or its product. Those that are plain English words too are left out. */
const VENDORS = new Set(
  (
    "openai chatgpt anthropic claude azure bedrock vertex gemini groq xai grok togetherai cohere mistral deepinfra " +
    "deepseek hunyuan tencent sambanova jina voyageai openrouter fireworks perplexity moonshot zhipu qwen dashscope " +
    "cerebras nvidia vllm ollama lmstudio huggingface"
  ).split(" "),
);

/**
 * Where vendor words are at home, and the exceptions, each as whole strings only: the table of routes holds
 * paths and dialect ids that are data of the wire, and the kinds of guardrails are data of the resource file.
 */
const VENDOR_ROOMS = ["src/providers/", "src/dialects/"];
const VENDOR_DATA_FILE = "src/acceptor/routes.ts";
const VENDOR_DATA: ReadonlySet<string> = new Set(DIALECTS);
const KIND_ROOMS = ["src/config/", "src/guardrails/"];
const GUARDRAIL_KINDS: ReadonlySet<string> = new Set(GUARDRAIL_SCHEMAS.map(({ shape }) => shape.kind.value));
const ROUTE_PATH = /^\/(?:openai|anthropic|cohere)\/[\w/{}:*-]*$/;

/** Files that read the process's environment and hand it on as a value. */
const ENVIRONMENT_READERS = ["src/config/", "src/cli/", "src/runtime/", "src/main.ts"];

/** Assembled from parts, so that this file does not name what it looks for. */
const MACHINE_WORDS = new RegExp(
  [
    ["/ho", "me/[a-z]"],
    ["/Us", "ers/[A-Za-z]"],
    ["/ro", "ot/"],
    ["/wo", "rk/"],
    ["/tmp/", "bash"],
    ["regis", "try\\.[a-z0-9-]+\\.[a-z]"],
    ["npm", "\\.pkg\\."],
    ["proxy\\.gol", "ang\\."],
    ["py", "pi\\.org"],
  ]
    .map((parts) => parts.join(""))
    .join("|"),
);

/** The words of a name: "openAiChat" and "OPENAI_CHAT" both hold "openai". */
function namesVendor(text: string): string | null {
  const words = (text.match(/[A-Z]+(?![a-z])|[A-Z]?[a-z]+/g) ?? []).map((word) => word.toLowerCase());
  for (let at = 0; at < words.length; at++) {
    const pair = `${words[at]}${words[at + 1] ?? ""}`;
    if (VENDORS.has(words[at]!)) return words[at]!;
    if (VENDORS.has(pair) && pair !== "xai") return pair;
  }
  return null;
}

function wordsOf(node: SyntaxNode): string | null {
  if (node.type === "Identifier" || node.type === "PrivateIdentifier") return String(node.name);
  if (node.type === "Literal" && typeof node.value === "string") return node.value;
  if (node.type === "Literal" && "regex" in node) return String(node.raw);
  if (node.type === "TemplateElement") return (node.value as { raw: string }).raw;
  return null;
}

function isFileData(file: SourceFile, node: SyntaxNode): boolean {
  if (!KIND_ROOMS.some((room) => file.path.startsWith(room))) return false;
  return typeof node.value === "string" && GUARDRAIL_KINDS.has(node.value);
}

function isWireData(file: SourceFile, node: SyntaxNode): boolean {
  if (file.path !== VENDOR_DATA_FILE || typeof node.value !== "string") return false;
  return VENDOR_DATA.has(node.value) || ROUTE_PATH.test(node.value);
}

function strayVendors(tree: Tree): string[] {
  const breaches: string[] = [];
  for (const file of tree.sources) {
    if (!file.path.startsWith("src/") || VENDOR_ROOMS.some((room) => file.path.startsWith(room))) continue;
    for (const node of file.nodes) {
      const words = wordsOf(node);
      const vendor = words === null ? null : namesVendor(words);
      if (vendor !== null && !isWireData(file, node) && !isFileData(file, node)) {
        breaches.push(`${file.path}:${lineOf(file, node.start)} "${words}" names ${vendor}`);
      }
    }
  }
  return breaches;
}

function isProcess(node: unknown): boolean {
  return (node as { name?: unknown } | null)?.name === "process";
}

function strayEnvironment(tree: Tree): string[] {
  const breaches: string[] = [];
  for (const file of tree.sources) {
    if (!file.path.startsWith("src/") || ENVIRONMENT_READERS.some((place) => file.path.startsWith(place))) continue;
    for (const node of file.nodes) {
      const member = node.type === "MemberExpression" && isProcess(node.object);
      if (member && ["env", "argv"].includes(String((node.property as SyntaxNode).name))) {
        breaches.push(`${file.path}:${lineOf(file, node.start)} ${file.text.slice(node.start, node.end)}`);
      }
    }
  }
  return breaches;
}

function machineWords(tree: Tree): string[] {
  const breaches: string[] = [];
  for (const path of tree.paths) {
    const lines = tree.text(path).split("\n");
    for (let at = 0; at < lines.length; at++) {
      const found = MACHINE_WORDS.exec(lines[at]!);
      if (found !== null) breaches.push(`${path}:${at + 1} ${found[0]}`);
    }
  }
  return breaches;
}

export const WORD_LAWS: readonly Law[] = [
  {
    name: "no vendor name outside src/providers and src/dialects",
    advice: "Ask the catalog or the dialect for the property you mean, instead of asking for the vendor.",
    check: strayVendors,
    breaches: [
      { "src/pipeline/dispatch.ts": 'if (target.provider === "openai") retry();' },
      { "src/pipeline/dispatch.ts": "const isOpenAI = true;" },
      { "src/usage/meter.ts": "const header = `anthropic-beta: $` + `{name}`;" },
      { "src/acceptor/routes.ts": 'const provider = "anthropic";' },
      { "src/pipeline/screen.ts": 'const kind = "openai_moderation";' },
      { "src/guardrails/rule.ts": 'const asked = "openai_moderation of last week";' },
    ],
    kept: {
      "src/acceptor/routes.ts": 'export const rows = [["/openai/v1/chat/completions", "openai-chat"]];',
      "src/guardrails/rule.ts": 'if (rule.kind === "openai_moderation") ask();',
      "src/pipeline/dispatch.ts": "// openai answers 429 here\nconst coherent = maxAi;",
    },
  },
  {
    name: "the environment is read at the edge only",
    advice: "Take the value as an argument or from the configuration.",
    check: strayEnvironment,
    breaches: [{ "src/pipeline/admit.ts": "const limit = process.env.LIMIT;" }],
    kept: { "src/config/load.ts": "export const environment = process.env;" },
  },
  {
    name: "no absolute path of a machine and no registry host",
    advice: "Use a path relative to the file, and the user's own npm configuration.",
    check: machineWords,
    breaches: [
      { "docs/operations.md": ["Run /ho", "me/ann/weir/start"].join("") },
      { "package-lock.json": ['"resolved": "https://regis', 'try.example.org/zod.tgz"'].join("") },
    ],
    kept: { "docs/operations.md": "Run ./weir in its own folder." },
  },
];
