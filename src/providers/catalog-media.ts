/** Images, sound and moderation of the OpenAI-shaped vendors: the usual paths below the version root. */
import type { Operation } from "../dialects/dialect.js";
import { type ProviderRow, type ServedOperation, wire } from "./provider.js";

export const MEDIA_WIRES: Readonly<Partial<Record<Operation, ServedOperation>>> = {
  images: wire("openai-images", "/images/generations"),
  image_edits: wire("openai-images", "/images/edits"),
  image_variations: wire("openai-images", "/images/variations"),
  transcriptions: wire("openai-audio", "/audio/transcriptions"),
  translations: wire("openai-audio", "/audio/translations"),
  speech: wire("openai-audio", "/audio/speech"),
  moderations: wire("openai-moderations", "/moderations"),
};

export const LISTENING: readonly Operation[] = ["transcriptions", "translations"];
export const SOUND: readonly Operation[] = [...LISTENING, "speech"];
/** Images made and changed. */
export const PICTURES: readonly Operation[] = ["images", "image_edits"];
export const ALL_MEDIA: readonly Operation[] = [...PICTURES, "image_variations", ...SOUND, "moderations"];

/** The operations at their usual paths. */
export function mediaOf(operations: readonly Operation[]): ProviderRow["serves"] {
  return mediaAt(operations, (path) => path);
}

/** The operations at paths made from the usual ones. */
export function mediaAt(operations: readonly Operation[], place: (path: string) => string): ProviderRow["serves"] {
  const serves: Partial<Record<Operation, readonly ServedOperation[]>> = {};
  for (const operation of operations) {
    const usual = MEDIA_WIRES[operation];
    if (usual !== undefined) serves[operation] = [wire(usual.dialect, place(usual.path))];
  }
  return serves;
}
