/** One rig at a time on a machine: two of them would pin to the same cores and measure each other. */
import { createServer } from "node:net";

/** An abstract socket's name (Linux): it is free again when its holder ends, however it ends. */
const NAME = "\0weir-load-rig";
const RETRY_MS = 500;

/** Waits for its turn, at most `limitMs`; `waiting` is called once if there is a wait. Held until the process ends. */
export async function takeTurn(limitMs: number, waiting: () => void, name = NAME): Promise<void> {
  const end = performance.now() + limitMs;
  let told = false;
  while (!(await holds(name))) {
    if (!told) waiting();
    told = true;
    if (performance.now() > end) throw new Error("another load rig is still running on this machine");
    await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
  }
}

function holds(name: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "EADDRINUSE") resolve(false);
      else reject(error);
    });
    server.listen(name, () => {
      server.unref();
      resolve(true);
    });
  });
}
