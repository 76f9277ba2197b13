/** Holds answers back until the test lets them go: nothing is left to how long things take. */
import type { ServerResponse } from "node:http";

export class Gate {
  readonly #waiting = new Set<() => void>();

  /** Resolves at the next opening, or as soon as the other side has left. */
  pass(response: ServerResponse): Promise<void> {
    return new Promise((resolve) => {
      const go = (): void => {
        this.#waiting.delete(go);
        response.off("close", go);
        resolve();
      };
      this.#waiting.add(go);
      response.once("close", go);
    });
  }

  /** Lets everybody go who waits now. */
  open(): void {
    for (const go of [...this.#waiting]) go();
  }
}
