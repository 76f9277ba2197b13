/** One candidate of an answer while it comes in: its parts become blocks that never overlap. */
import { asArray, asObject, asObjects, asString, isObject } from "../json.js";
import type { AnswerEvent, JsonObject, JsonValue } from "../semantic.js";
import { madeUpId } from "./call-ids.js";
import { WIRE } from "./encode-contents.js";
import { stopReason } from "./finish-reasons.js";
import { citationAnnotations, type GroundedText, groundingAnnotations } from "./grounding.js";
import { mediaSource } from "./media.js";

export interface Candidate {
  readonly index: number;
  open: "" | "text" | "thinking";
  /** The open thinking block has its signature. */
  signed: boolean;
  /** Signature of a part that has no place for one; it becomes a block of its own when the part is over. */
  signature: string;
  /** Calls so far, the format tool's not counted. */
  calls: number;
  /** The upstream's word for the end; "" = not said yet. */
  finish: string;
  /** Pieces of the open text block, kept only where offsets may refer to them. */
  readonly pieces: string[];
  length: number;
  readonly partStarts: number[];
  grounding: JsonObject | null;
  citations: JsonObject | null;
  urlContext: JsonObject | null;
  /** What the upstream's filters found; null = nothing. */
  safety: readonly JsonValue[] | null;
  /** The end in words; "" = not said. */
  finishMessage: string;
}

/** What all candidates of an answer share. */
export interface PartContext {
  readonly renamed: ReadonlyMap<string, string>;
  readonly formatTool: string;
  /** Base of the ids of calls without one. */
  idBase: string;
  /** Calls in the whole answer, those of all candidates. */
  calls: number;
  /** Keep the text for offsets. */
  readonly keepsText: boolean;
}

export function newCandidate(index: number): Candidate {
  return {
    index,
    open: "",
    signed: false,
    signature: "",
    calls: 0,
    finish: "",
    pieces: [],
    length: 0,
    partStarts: [],
    grounding: null,
    citations: null,
    urlContext: null,
    safety: null,
    finishMessage: "",
  };
}

/** Takes in what one chunk (or the whole answer) says of this candidate. `whole`: part numbers count. */
export function pushCandidate(
  candidate: Candidate,
  chunk: JsonObject,
  context: PartContext,
  whole: boolean,
): AnswerEvent[] {
  const events: AnswerEvent[] = [];
  for (const part of asObjects(asObject(chunk.content)?.parts)) {
    if (whole) candidate.partStarts.push(candidate.length);
    pushPart(candidate, part, context, events);
  }
  const logprobs = readLogprobs(asObject(chunk.logprobsResult));
  if (logprobs !== null) events.push({ kind: "logprobs", logprobs });
  candidate.grounding = asObject(chunk.groundingMetadata) ?? candidate.grounding;
  candidate.citations = asObject(chunk.citationMetadata) ?? candidate.citations;
  candidate.urlContext = asObject(chunk.urlContextMetadata) ?? candidate.urlContext;
  candidate.safety = findings(chunk.safetyRatings) ?? candidate.safety;
  candidate.finishMessage = asString(chunk.finishMessage) || candidate.finishMessage;
  candidate.finish = asString(chunk.finishReason) || candidate.finish;
  return events;
}

/** Ratings, unless all of them say that nothing was found. */
function findings(ratings: JsonValue | undefined): readonly JsonValue[] | null {
  const found = asObjects(ratings).some(
    ({ blocked, probability }) => blocked === true || !HARMLESS.has(asString(probability)),
  );
  return found ? asArray(ratings) : null;
}

const HARMLESS: ReadonlySet<string> = new Set(["", "NEGLIGIBLE", "HARM_PROBABILITY_UNSPECIFIED"]);

/** Closes the candidate: its annotations, what is open, what only this wire knows, its stop. */
export function finishCandidate(candidate: Candidate): AnswerEvent[] {
  const events: AnswerEvent[] = [];
  const annotated = candidate.open === "text";
  if (annotated) annotate(candidate, events);
  closeBlock(candidate, events);
  releaseSignature(candidate, events);
  const { grounding, citations, urlContext, safety, finishMessage } = candidate;
  pushMetadata("groundingMetadata", grounding, annotated && holdsOnly(grounding, GROUNDING_TOLD), events);
  pushMetadata("citationMetadata", citations, annotated && citationsTold(citations), events);
  pushMetadata("urlContextMetadata", urlContext, false, events);
  if (safety !== null) pushForeign("safetyRatings", { safetyRatings: [...safety] }, events);
  if (finishMessage !== "") pushForeign("finishMessage", { finishMessage }, events);
  const native = candidate.finish;
  events.push({ kind: "stop", reason: stopReason(native, candidate.calls > 0), sequence: null, native });
  return events;
}

function annotate(candidate: Candidate, events: AnswerEvent[]): void {
  const grounded: GroundedText = { text: candidate.pieces.join(""), partStarts: candidate.partStarts };
  const annotations = [
    ...(candidate.grounding === null ? [] : groundingAnnotations(candidate.grounding, grounded)),
    ...(candidate.citations === null ? [] : citationAnnotations(candidate.citations, grounded)),
  ];
  for (const annotation of annotations) events.push({ kind: "annotation", annotation });
}

/** Members whose content annotations say. */
const GROUNDING_TOLD: ReadonlySet<string> = new Set(["groundingChunks", "groundingSupports"]);
const CITATION_TOLD: ReadonlySet<string> = new Set(["startIndex", "endIndex", "uri", "title"]);

function holdsOnly(object: JsonObject | null, names: ReadonlySet<string>): boolean {
  return object !== null && Object.keys(object).every((name) => names.has(name));
}

function citationsTold(metadata: JsonObject | null): boolean {
  const all = [...asObjects(metadata?.citationSources), ...asObjects(metadata?.citations)];
  return all.every((citation) => holdsOnly(citation, CITATION_TOLD));
}

/** `told`: annotations say all of it. */
function pushMetadata(type: string, metadata: JsonObject | null, told: boolean, events: AnswerEvent[]): void {
  if (metadata !== null && Object.keys(metadata).length > 0) pushForeign(type, { [type]: metadata }, events, told);
}

function pushForeign(type: string, raw: JsonObject, events: AnswerEvent[], told = false): void {
  const block = { kind: "foreign", wire: WIRE, type, raw } as const;
  events.push({ kind: "foreign", block: told ? { ...block, told } : block });
}

// ---- parts -----------------------------------------------------------------------------------------

function pushPart(candidate: Candidate, part: JsonObject, context: PartContext, events: AnswerEvent[]): void {
  const call = asObject(part.functionCall);
  if (call !== null) pushCall(candidate, part, { events, call, context });
  else if (typeof part.text !== "string" && typeOfPart(part) !== undefined) pushOther(candidate, part, events);
  else if (part.thought === true) pushThought(candidate, asString(part.text), asString(part.thoughtSignature), events);
  else pushText(candidate, part, context, events);
}

/** The member that a part is about; undefined when it holds no more than text or a signature. */
function typeOfPart(part: JsonObject): string | undefined {
  return Object.keys(part).find((key) => isObject(part[key]));
}

/** Images and sounds are media; pictures of the thinking, code and its results only this wire knows. */
function pushOther(candidate: Candidate, part: JsonObject, events: AnswerEvent[]): void {
  closeBlock(candidate, events);
  releaseSignature(candidate, events);
  const source = part.thought === true ? null : mediaSource(asObject(part.inlineData), asObject(part.fileData));
  if (source === null) {
    pushForeign(typeOfPart(part) ?? "", part, events);
    return;
  }
  events.push({ kind: "media", source });
  candidate.signature = asString(part.thoughtSignature);
}

function pushThought(candidate: Candidate, text: string, signature: string, events: AnswerEvent[]): void {
  releaseSignature(candidate, events);
  if (text === "" && signature === "") return;
  if (candidate.open !== "thinking" || candidate.signed) {
    closeBlock(candidate, events);
    events.push({ kind: "thinking_start", id: "", origin: WIRE });
    candidate.open = "thinking";
    candidate.signed = false;
  }
  if (text !== "") events.push({ kind: "thinking", text });
  if (signature === "") return;
  events.push({ kind: "signature", signature });
  candidate.signed = true;
}

function pushText(candidate: Candidate, part: JsonObject, context: PartContext, events: AnswerEvent[]): void {
  const text = asString(part.text);
  if (text !== "") {
    releaseSignature(candidate, events);
    if (candidate.open !== "text") openText(candidate, events);
    events.push({ kind: "text", text });
    if (context.keepsText) candidate.pieces.push(text);
    candidate.length += text.length;
  }
  const signature = asString(part.thoughtSignature);
  if (signature === "") return;
  if (candidate.signature !== "") releaseSignature(candidate, events);
  candidate.signature = signature;
}

function openText(candidate: Candidate, events: AnswerEvent[]): void {
  closeBlock(candidate, events);
  events.push({ kind: "text_start" });
  candidate.open = "text";
  candidate.pieces.length = 0;
  candidate.length = 0;
  if (candidate.partStarts.length > 0) candidate.partStarts[candidate.partStarts.length - 1] = 0;
}

/** A call and what it is read with. */
interface CallPart {
  readonly call: JsonObject;
  readonly context: PartContext;
  readonly events: AnswerEvent[];
}

function pushCall(candidate: Candidate, part: JsonObject, { call, context, events }: CallPart): void {
  closeBlock(candidate, events);
  releaseSignature(candidate, events);
  const sent = asString(call.name);
  const text = JSON.stringify(asObject(call.args) ?? {});
  if (sent !== "" && sent === context.formatTool) {
    events.push({ kind: "text_start" }, { kind: "text", text }, { kind: "block_stop" });
    return;
  }
  const id = asString(call.id) || madeUpId(context.idBase, context.calls);
  const name = context.renamed.get(sent) ?? sent;
  const signature = asString(part.thoughtSignature);
  events.push({ kind: "tool_start", id, name, signature, flavour: "function" }, { kind: "arguments", text });
  events.push({ kind: "block_stop" });
  candidate.calls++;
  context.calls++;
}

function closeBlock(candidate: Candidate, events: AnswerEvent[]): void {
  if (candidate.open !== "") events.push({ kind: "block_stop" });
  candidate.open = "";
  candidate.signed = false;
}

/** A signature that came with text: it stands alone behind it, as thinking without words. */
function releaseSignature(candidate: Candidate, events: AnswerEvent[]): void {
  if (candidate.signature === "") return;
  closeBlock(candidate, events);
  const signature = candidate.signature;
  candidate.signature = "";
  events.push(
    { kind: "thinking_start", id: "", origin: WIRE },
    { kind: "signature", signature },
    { kind: "block_stop" },
  );
}

// ---- log probabilities -----------------------------------------------------------------------------

function readLogprobs(result: JsonObject | null): JsonObject | null {
  const chosen = asObjects(result?.chosenCandidates);
  if (chosen.length === 0) return null;
  const tops = asArray(result?.topCandidates);
  const content = chosen.map((token, at) => ({
    ...probability(token),
    top_logprobs: asObjects(asObject(tops[at])?.candidates).map(probability),
  }));
  return { content };
}

function probability(token: JsonObject): JsonObject {
  const logprob = typeof token.logProbability === "number" ? token.logProbability : -9999;
  return { token: asString(token.token), logprob, bytes: null };
}
