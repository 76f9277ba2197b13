/** Stage 4: has this been answered before? No cache policy exists yet, so every exchange passes by. */
import type { Exchange } from "./exchange.js";
import type { Stage, StageOutcome } from "./pipeline.js";

export const recall: Stage = {
  name: "recall",
  needs: "body",
  failures: [],
  run(exchange: Exchange): StageOutcome {
    exchange.cache = "bypass";
    return "next";
  },
};
