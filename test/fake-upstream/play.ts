/** Sends a plan: waits, writes, minds the reader's pace, and keeps the ledger. */
import { once } from "node:events";
import type { ServerResponse } from "node:http";
import type { Ledger, RecordedRequest } from "./ledger.js";
import type { Plan } from "./plan.js";

/** Plays a plan to its end, or until the other side leaves. Never rejects for a connection that broke. */
export async function play(
  plan: Plan,
  response: ServerResponse,
  record: RecordedRequest,
  ledger: Ledger,
): Promise<void> {
  const gone = new AbortController();
  response.once("close", () => {
    gone.abort();
    ledger.end(record, response.writableFinished ? "completed" : "aborted");
  });
  response.once("finish", () => ledger.end(record, "completed"));
  // A reset connection shows as "close"; the error itself says nothing more.
  response.on("error", () => {});
  if (!(await pause(plan.delayMs, gone.signal))) return;
  record.status = plan.status;
  response.writeHead(plan.status, plan.headers);
  response.flushHeaders();
  if (!(await pause(plan.firstByteDelayMs, gone.signal))) return;
  for (const [i, chunk] of plan.chunks.entries()) {
    if (i > 0 && !(await pause(plan.gapMs, gone.signal))) return;
    if (gone.signal.aborted) return;
    if (i === 0) record.units = plan.units;
    ledger.deal(record, i === 0 ? plan.inputTokens : 0, chunk.tokens);
    record.bytesSent += chunk.bytes.length;
    if (!response.write(chunk.bytes) && !(await drained(response, gone.signal))) return;
  }
  if (plan.ending === "end") response.end();
  if (plan.ending === "destroy") await destroyAfterFlush(response, record, ledger);
}

/** Resolves true after the time, false as soon as the other side is gone. */
function pause(ms: number, gone: AbortSignal): Promise<boolean> {
  if (ms <= 0) return Promise.resolve(!gone.aborted);
  return new Promise((resolve) => {
    const left = (): void => {
      clearTimeout(timer);
      resolve(false);
    };
    const timer = setTimeout(() => {
      gone.removeEventListener("abort", left);
      resolve(true);
    }, ms);
    if (gone.aborted) left();
    else gone.addEventListener("abort", left, { once: true });
  });
}

async function drained(response: ServerResponse, gone: AbortSignal): Promise<boolean> {
  try {
    await once(response, "drain", { signal: gone });
    return true;
  } catch {
    return false;
  }
}

/** What was written must arrive before the break, or the cut would not be where the script says. */
async function destroyAfterFlush(response: ServerResponse, record: RecordedRequest, ledger: Ledger): Promise<void> {
  ledger.end(record, "broken");
  const socket = response.socket;
  if (socket !== null && socket.writableLength > 0) {
    await new Promise<void>((resolve) => socket.write("", () => resolve()));
  }
  socket?.destroy();
}
