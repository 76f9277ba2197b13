/** Ids of answers that the gateway keeps itself: any node can tell that nobody else does. */
export const KEPT_MARK = "resp_wrs_";
const KEPT_ID = /^resp_wrs_[A-Za-z0-9_-]{1,128}$/;

/** The id of an answer that is kept here. */
export function keptId(requestId: string): string {
  return KEPT_MARK + requestId;
}

/** Says the id that the gateway keeps, or kept, the answer? */
export function isKeptId(id: string): boolean {
  return KEPT_ID.test(id);
}
