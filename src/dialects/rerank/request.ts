/** A rerank request, read for what it means: a query and texts. Takes the older version's documents, too. */
import type { Failure } from "../../errors.js";
import { isAbsent, isObject, otherFields, withoutAbsent } from "../json.js";
import type { OperationRequest } from "../operation-codec.js";
import { optionalArray, optionalFlag, optionalNumber, orFailure, refuse, textAt } from "../refuse-request.js";
import type { JsonObject, JsonValue, LossList } from "../semantic.js";

const KNOWN = new Set("model query documents top_n top_k return_documents rank_fields max_chunks_per_doc".split(" "));

export interface RerankRequest {
  readonly query: string;
  readonly documents: readonly string[];
  /** The most results wanted; null = all. */
  readonly most: number | null;
  /** The caller wants each result's document with it. */
  readonly returnDocuments: boolean;
  readonly extras: JsonObject;
}

export function readRerank({ body, losses }: Pick<OperationRequest, "body" | "losses">): RerankRequest | Failure {
  return orFailure(() => read(body, losses));
}

function read(body: JsonObject, losses: LossList): RerankRequest {
  if (!isAbsent(body.max_chunks_per_doc)) losses.add("max_chunks_per_doc");
  const fields = optionalArray(body, "rank_fields").map((field, index) => textAt(field, `rank_fields[${index}]`));
  const documents = optionalArray(body, "documents");
  if (documents.length === 0) refuse("documents", "an array with something in it");
  return {
    query: textAt(body.query, "query"),
    documents: documents.map((document, index) => documentText(document, fields, `documents[${index}]`)),
    most: optionalNumber(body, "top_n") ?? optionalNumber(body, "top_k"),
    returnDocuments: optionalFlag(body, "return_documents") ?? false,
    extras: withoutAbsent(otherFields(body, KNOWN)),
  };
}

/** A document of several fields is read as lines of them; without a choice of fields its `text` counts. */
function documentText(document: JsonValue, fields: readonly string[], path: string): string {
  if (typeof document === "string") return document;
  if (!isObject(document)) return refuse(path, "a string or an object with a text");
  if (fields.length === 0) return textAt(document.text, `${path}.text`);
  const lines: string[] = [];
  for (const field of fields) {
    const value = Object.hasOwn(document, field) ? document[field] : undefined;
    if (!isAbsent(value)) lines.push(`${field}: ${typeof value === "string" ? value : JSON.stringify(value)}`);
  }
  return lines.length > 0 ? lines.join("\n") : refuse(path, "an object with one of the rank_fields");
}
