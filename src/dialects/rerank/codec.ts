/** The older version's requests on a wire that takes the newer one's: documents become texts, and come back if wanted. */
import { isFailure } from "../../errors.js";
import { decodeError } from "../cohere-chat/error.js";
import { asArray, asObject, asObjects, asString, asCount, withoutAbsent } from "../json.js";
import type { OperationCodec } from "../operation-codec.js";
import { encodeError, toldOf } from "./answer.js";
import { readRerank } from "./request.js";

export const rerankAnew: OperationCodec = {
  encodeRequest(request) {
    const asked = readRerank(request);
    if (isFailure(asked)) return asked;
    const { query, documents, most, extras } = asked;
    const body = withoutAbsent({
      ...extras,
      model: request.traits.model,
      query,
      documents: [...documents],
      top_n: most,
    });
    return { body, told: toldOf(asked) };
  },
  /** The answer is the caller's dialect already; only the documents are put in. */
  decodeAnswer({ body, told }) {
    const answer = asObject(body) ?? {};
    const documents = asArray(told.documents);
    if (documents.length === 0) return { body: answer };
    const results = asObjects(answer.results).map((result) => {
      return { ...result, document: { text: asString(documents[asCount(result.index)]) } };
    });
    return { body: { ...answer, results } };
  },
  decodeError,
  encodeError,
};

const OLDER = ["return_documents", "rank_fields", "max_chunks_per_doc"].map((name) => Buffer.from(`"${name}"`));
const DOCUMENTS = Buffer.from('"documents"');
const [COLON, OPEN_BRACE, OPEN_BRACKET] = [0x3a, 0x7b, 0x5b] as const;

/** May this body be one of the older version's? Cheap, on the bytes; a mistake costs a translation and no more. */
export function mayBeOlder(body: Buffer): boolean {
  if (OLDER.some((name) => body.includes(name))) return true;
  for (let at = body.indexOf(DOCUMENTS); at >= 0; at = body.indexOf(DOCUMENTS, at + 1)) {
    let next = at + DOCUMENTS.length;
    for (let byte = body[next]; byte !== undefined && (byte <= 0x20 || byte === COLON || byte === OPEN_BRACKET); ) {
      next += 1;
      byte = body[next];
    }
    if (body[next] === OPEN_BRACE) return true;
  }
  return false;
}
