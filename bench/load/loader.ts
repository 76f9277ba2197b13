/** The loader as its own process: a LoadPlan (JSON) on stdin, the LoadResult (JSON) on stdout. */
import { runLoad } from "./load-run.js";
import type { LoadPlan } from "./plan.js";

const pieces: Buffer[] = [];
for await (const piece of process.stdin) pieces.push(piece as Buffer);
const plan = JSON.parse(Buffer.concat(pieces).toString("utf8")) as LoadPlan;
process.stdout.write(`${JSON.stringify(await runLoad(plan))}\n`);
