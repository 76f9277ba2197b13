/** The simulator on POST /rerank. Shape: `V2RerankResponse` of the vendor's SDK, with the tokens of its look-alikes. */
import { FrameList } from "./frames.js";
import { countOf, isObject, type JsonObject, listOf, stringOf } from "./json.js";
import { AUTO, countTokens, HIGHEST, type Prompt, readKnobs } from "./prompt.js";
import type { Turn } from "./turn.js";

const DOCUMENTS_PER_UNIT = 100;

/** Reads a rerank request: a query and documents. */
export function readRerank(body: JsonObject): Prompt {
  const query = stringOf(body.query);
  const tokens = textsOf(body.documents).reduce((sum, text) => sum + countTokens(query) + countTokens(text), 0);
  return {
    model: stringOf(body.model),
    stream: false,
    body,
    userText: query,
    toolResult: null,
    inputTokens: tokens,
    tools: [],
    toolChoice: AUTO,
    maxOutputTokens: 0,
    choices: 1,
    usageAsked: false,
    schema: null,
    knobs: readKnobs(body.metadata),
  };
}

function textsOf(documents: unknown): readonly string[] {
  return listOf(documents).map((document) => stringOf(isObject(document) ? document.text : document));
}

/** A document is the better the more of the query's words it holds. */
export function answerRerank({ body, userText, knobs, model }: Prompt, { usage }: Turn): FrameList {
  const wanted = wordsOf(userText);
  const documents = textsOf(body.documents);
  const most = countOf(body.top_n, documents.length, HIGHEST.tokens);
  const results = documents
    .map((text, index) => ({ index, relevance_score: shareOf(wanted, wordsOf(text)) }))
    .sort((one, other) => other.relevance_score - one.relevance_score || one.index - other.index)
    .slice(0, most);
  const said = knobs.usage === "none" ? {} : { usage: { total_tokens: usage.inputTokens } };
  const billed_units = { search_units: Math.ceil(documents.length / DOCUMENTS_PER_UNIT) };
  const meta = { api_version: { version: "2" }, billed_units };
  return FrameList.whole({ id: "rerank-simulated", model, results, meta, ...said }, 0);
}

function wordsOf(text: string): ReadonlySet<string> {
  return new Set(text.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? []);
}

function shareOf(wanted: ReadonlySet<string>, words: ReadonlySet<string>): number {
  if (wanted.size === 0) return 0;
  let found = 0;
  for (const word of wanted) if (words.has(word)) found += 1;
  return found / wanted.size;
}
