/**
 * Ids that say where they come from: an upstream's id together with the provider key that knows it, in one word that
 * any node can read. `file-` + `wr1` + base64url of four bytes of a checksum and the parts between zero bytes. The
 * checksum tells such an id from an upstream's own; it is no proof of anything.
 */
import { createHash } from "node:crypto";

export interface CarriedId {
  readonly providerKey: string;
  /** The model that the id's thing was made with, as its caller named it; "" = none. */
  readonly model: string;
  /** As the upstream knows it. */
  readonly id: string;
}

const MARK = "wr1";
/** The words that vendors' ids begin with ("file-", "resp_") stay in front: clients look at them. */
const PREFIX = /^[a-z]{1,16}[-_]/;
const NO_PREFIX = "id-";
const CARRIED = /^[a-z]{1,16}[-_]wr1([A-Za-z0-9_-]{8,1400})$/;
const CHECKSUM_BYTES = 4;
const SEPARATOR = "\0";
/** Longer ones are not carried; every vendor's are far shorter. */
const MAX_ID = 256;

/** The id in the gateway's words. An id that carries something already, or is no usual one, stays as it is. */
export function carryId({ providerKey, model, id }: CarriedId): string {
  if (id === "" || id.length > MAX_ID || id.includes(SEPARATOR) || CARRIED.test(id)) return id;
  const content = Buffer.from([providerKey, model, id].join(SEPARATOR));
  return `${PREFIX.exec(id)?.[0] ?? NO_PREFIX}${MARK}${Buffer.concat([checksum(content), content]).toString("base64url")}`;
}

/** What an id carries; null: it is an upstream's own. */
export function readCarriedId(text: string): CarriedId | null {
  const encoded = CARRIED.exec(text)?.[1];
  if (encoded === undefined) return null;
  const bytes = Buffer.from(encoded, "base64url");
  const content = bytes.subarray(CHECKSUM_BYTES);
  if (bytes.toString("base64url") !== encoded) return null;
  if (!checksum(content).equals(bytes.subarray(0, CHECKSUM_BYTES))) return null;
  const [providerKey, model, id, ...rest] = content.toString("utf8").split(SEPARATOR);
  if (providerKey === undefined || model === undefined || id === undefined || rest.length > 0) return null;
  return { providerKey, model, id };
}

function checksum(content: Buffer): Buffer {
  return createHash("sha256").update(content).digest().subarray(0, CHECKSUM_BYTES);
}
