/** Which of the models behind a shared name a caller may use, by its address. */
import { memberNames } from "../config/resources.js";
import type { ResolvedModel } from "../config/snapshot.js";
import type { Exchange } from "./exchange.js";

/** A name may stand for a choice among ensembles; nothing goes deeper. */
const MAX_DEPTH = 3;

/**
 * Names of those that are open to some addresses only, each with whether it is open to this one; "" = there are none.
 * What callers from one address get from their models is nothing for callers from another, who may not use them.
 */
export function membersOpen(exchange: Exchange, model: ResolvedModel): string {
  if (model.direct !== null) return "";
  const marks: string[] = [];
  look(exchange, model, { marks, depth: 0 });
  return marks.join(",");
}

function look(
  exchange: Exchange,
  { entry }: ResolvedModel,
  { marks, depth }: { marks: string[]; depth: number },
): void {
  for (const name of memberNames(entry)) {
    const member = exchange.snapshot.findModel(name);
    if (member === undefined) continue;
    const { allowedAddresses: addresses } = member;
    if (addresses !== null) marks.push(JSON.stringify([name, addresses.contains(exchange.clientAddress)]));
    if (member.direct === null && depth < MAX_DEPTH) look(exchange, member, { marks, depth: depth + 1 });
  }
}
