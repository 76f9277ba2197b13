/** What is to be killed when the rig's process ends, however early: where nothing can be awaited any more. */

const kills = new Set<() => void>();
let isListening = false;

/** Registers a kill. @returns what takes it back, for when it has been ended in the usual way */
export function atExit(kill: () => void): () => void {
  if (!isListening) {
    isListening = true;
    process.once("exit", () => {
      for (const each of kills) each();
    });
  }
  kills.add(kill);
  return () => void kills.delete(kill);
}
