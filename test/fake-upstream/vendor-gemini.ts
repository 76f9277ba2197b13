/** generateContent and streamGenerateContent, of AI Studio and of Vertex AI, with models of generation 3. */
import { GoogleGenAI } from "@google/genai";
import { OAuth2Client } from "google-auth-library";
import type { JsonObject } from "../../src/dialects/semantic.js";
import {
  type Cast,
  demandResults,
  type Heard,
  type HeardStep,
  objectOf,
  objectsOf,
  type Piece,
  Refused,
  type Said,
  text,
  textOf,
  wordsOf,
} from "./vendor-talk.js";
import type { VendorWire } from "./vendor-upstream.js";

export const MODEL = "gemini-3-pro-preview";
export const VERTEX_PLACE = { project: "acme", location: "us-east5" };
/** Documented for calls whose signature is not to be had. */
const PLACEHOLDER = "skip_thought_signature_validator";

/** AI Studio gives calls ids, Vertex does not; only the first call of a turn is signed. */
function castOf(ids: boolean): Cast {
  const thought = (said: string): Piece => ({ kind: "thought", text: said, signature: "", encrypted: "" });
  const call = (id: string, name: string, args: JsonObject, signature: string): Piece => {
    return { kind: "call", id: ids ? id : "", name, args, signature };
  };
  return {
    loop: [
      [thought("First the time."), call("call-a", "now", {}, "c2lnbmVkIG5vdw==")],
      [
        thought("Now both cities."),
        call("call-b", "weather", { city: "Vienna" }, "c2lnbmVkIHdlYXRoZXI="),
        call("call-c", "weather", { city: "Rome" }, ""),
      ],
      [thought("Done."), text("It is noon; Vienna 21, Rome 21.", "c2lnbmVkIHRleHQ=")],
    ],
    placeholder: PLACEHOLDER,
    countsReasoning: true,
    countsCacheWrites: false,
  };
}

/** The vendor's own client at this address, as its users of either service make it. */
export function vendorClient(baseUrl: string, vertex: boolean): GoogleGenAI {
  if (!vertex) return new GoogleGenAI({ apiKey: "gemini-key", vertexai: false, httpOptions: { baseUrl } });
  const authClient = new OAuth2Client();
  authClient.setCredentials({ access_token: "google-token" });
  const httpOptions = { baseUrl, apiVersion: "v1" };
  return new GoogleGenAI({ vertexai: true, ...VERTEX_PLACE, googleAuthOptions: { authClient }, httpOptions });
}

async function sentByVendor(body: JsonObject, recorder: string, vertex: boolean): Promise<null> {
  const { contents, generationConfig, ...rest } = body;
  const given = { ...rest, ...objectOf(generationConfig) };
  const config = Object.keys(given).length === 0 ? {} : { config: given };
  await vendorClient(recorder, vertex).models.generateContent({ model: MODEL, contents, ...config } as never);
  return null;
}

function route(path: string, root: string): boolean | string {
  if (path === `${root}/models/${MODEL}:generateContent`) return false;
  return path === `${root}/models/${MODEL}:streamGenerateContent?alt=sse` || `there is no ${path}`;
}

// ---- requests --------------------------------------------------------------------------------------

function hear(body: JsonObject): Heard {
  const steps: HeardStep[] = [];
  const images: string[] = [];
  let prompt = "";
  let before = "model";
  for (const { role, parts } of objectsOf(body.contents)) {
    if (role === before || (role !== "user" && role !== "model")) throw new Refused(`role ${role} after ${before}`);
    before = role;
    if (role === "model") steps.push({ pieces: modelPieces(objectsOf(parts)), results: [] });
    for (const part of role === "user" ? objectsOf(parts) : []) {
      prompt = textOf(part.text) || prompt;
      const { mimeType, data } = objectOf(part.inlineData);
      if (data !== undefined) images.push(`${mimeType} ${data}`);
      const { id, name, response } = objectOf(part.functionResponse);
      if (name === undefined) continue;
      const result = { id: textOf(id), name: textOf(name), text: textOf(objectOf(response).output) };
      steps.at(-1)?.results.push(result);
    }
  }
  demandResults(steps);
  const config = objectOf(body.generationConfig);
  const declared = objectsOf(body.tools).flatMap((tool) => objectsOf(tool.functionDeclarations));
  const mode = objectOf(objectOf(body.toolConfig).functionCallingConfig).mode;
  const [only] = declared;
  return {
    system: objectsOf(objectOf(body.systemInstruction).parts)
      .map((part) => textOf(part.text))
      .join(""),
    prompt,
    images,
    tools: declared.map(({ name }) => textOf(name)),
    forced: mode === "ANY" ? { name: textOf(only?.name), schema: only?.parametersJsonSchema } : null,
    schema: config.responseMimeType === "application/json" ? config.responseJsonSchema : undefined,
    thinks: objectOf(config.thinkingConfig).includeThoughts === true,
    steps,
  };
}

/** The pieces of a turn; refuses one whose first call is not signed, as this generation does. */
function modelPieces(parts: readonly JsonObject[]): Piece[] {
  const pieces: Piece[] = [];
  for (const part of parts) {
    const signature = textOf(part.thoughtSignature);
    const { id, name, args } = objectOf(part.functionCall);
    const last = pieces.at(-1);
    if (name !== undefined) {
      if (signature === "" && !pieces.some(({ kind }) => kind === "call")) {
        throw new Refused(`Function call is missing a thought_signature in functionCall parts: ${name}`);
      }
      pieces.push({ kind: "call", id: textOf(id), name: textOf(name), args: objectOf(args), signature });
    } else if (part.thought === true) {
      pieces.push({ kind: "thought", text: textOf(part.text), signature, encrypted: "" });
    } else if (last?.kind === "text" && last.signature === "") {
      // A stream's last part has no words, only the signature of the text before it.
      pieces[pieces.length - 1] = text(last.text + textOf(part.text), signature);
    } else pieces.push(text(textOf(part.text), signature));
  }
  return pieces;
}

// ---- answers ---------------------------------------------------------------------------------------

function partOf(piece: Piece): JsonObject {
  if (piece.kind === "thought" || piece.kind === "plan") return { text: piece.text, thought: true };
  const signed = piece.signature === "" ? {} : { thoughtSignature: piece.signature };
  if (piece.kind === "text") return { text: piece.text, ...signed };
  const { id, name, args } = piece;
  return { functionCall: { ...(id === "" ? {} : { id }), name, args }, ...signed };
}

/** The parts of a stream: texts in words, their signatures on a part of their own. */
function streamedParts(piece: Piece): JsonObject[] {
  if (piece.kind !== "text") return [partOf(piece)];
  const words: JsonObject[] = wordsOf(piece.text).map((word) => ({ text: word }));
  return piece.signature === "" ? words : [...words, { text: "", thoughtSignature: piece.signature }];
}

let answers = 0;

/** What every part of an answer says of it; the vendor's ids are unique, and the gateway builds on that. */
function sharedFields(): JsonObject {
  return { modelVersion: MODEL, responseId: `answer-${answers++}` };
}

function usageOf({ usage }: Said): JsonObject {
  const { input, output, cacheRead, reasoning } = usage;
  return {
    promptTokenCount: input,
    candidatesTokenCount: output - reasoning,
    thoughtsTokenCount: reasoning,
    cachedContentTokenCount: cacheRead,
    totalTokenCount: input + output,
  };
}

function whole(said: Said): JsonObject {
  const content = { role: "model", parts: said.pieces.map(partOf) };
  return { candidates: [{ content, finishReason: "STOP", index: 0 }], usageMetadata: usageOf(said), ...sharedFields() };
}

function frameOf(value: JsonObject): Buffer {
  return Buffer.from(`data: ${JSON.stringify(value)}\r\n\r\n`);
}

function frames(said: Said): Buffer[] {
  const parts = said.pieces.flatMap(streamedParts);
  const shared = sharedFields();
  return parts.map((part, index) => {
    const last = index === parts.length - 1;
    const content = { role: "model", parts: [part] };
    // Counts grow from chunk to chunk: only the last ones are true.
    const counts = last ? usageOf(said) : { promptTokenCount: said.usage.input, totalTokenCount: said.usage.input };
    const candidate = { content, index: 0, ...(last ? { finishReason: "STOP" } : {}) };
    return frameOf({ candidates: [candidate], usageMetadata: counts, ...shared });
  });
}

const WORDS: Readonly<Record<number, string>> = { 400: "INVALID_ARGUMENT", 429: "RESOURCE_EXHAUSTED" };

/** The vendor says it in the body alone. */
const LATER = [{ "@type": "type.googleapis.com/google.rpc.RetryInfo", retryDelay: "6.5s" }];

function wireOf(vertex: boolean): VendorWire {
  const { project, location } = VERTEX_PLACE;
  const root = vertex ? `/v1/projects/${project}/locations/${location}/publishers/google` : "/v1beta";
  const [header, secret] = vertex ? ["authorization", "Bearer google-token"] : ["x-goog-api-key", "gemini-key"];
  return {
    cast: castOf(!vertex),
    route: ({ path, headers }) => (headers[header] === secret ? route(path, root) : `${header} is ${headers[header]}`),
    sentByVendor: (body, recorder) => sentByVendor(body, recorder, vertex),
    hear,
    whole,
    streamType: "text/event-stream",
    frames,
    failureFrame: (message) => frameOf({ error: { code: 503, message, status: "UNAVAILABLE" } }),
    error: (code, message) => ({
      headers: {},
      body: {
        error: { code, message, status: WORDS[code] ?? "INTERNAL", ...(code === 429 ? { details: LATER } : {}) },
      },
    }),
  };
}

export const GEMINI = wireOf(false);
export const VERTEX = wireOf(true);
