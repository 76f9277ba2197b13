/** Looks after an acceptor's journal between requests: tries again what was refused, and says so once. */
import type { Logger } from "../observability/logger.js";
import type { JournalWriter } from "../usage/journal.js";

const LOOK_MS = 1_000;

/** Until the thread ends; keeps no thread alive. */
export function watchJournal(journal: JournalWriter, logger: Logger): void {
  let known = "";
  let lost = 0;
  const look = (): void => {
    journal.refresh();
    const { problem, pending, lost: lostNow } = journal.stats;
    if (problem !== known) {
      if (problem === "") logger.info("the usage journal is written again");
      else logger.error({ reason: problem, pending }, "the usage journal cannot be written; lines wait in memory");
      known = problem;
    }
    if (lostNow > lost) logger.error({ lines: lostNow - lost }, "usage is lost: memory for waiting lines is full");
    lost = lostNow;
  };
  setInterval(look, LOOK_MS).unref();
}
