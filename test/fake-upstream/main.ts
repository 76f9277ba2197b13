/** Runs the fake upstream on its own: `node --import tsx test/fake-upstream/main.ts --port N`. */
import { parseArgs } from "node:util";
import { startFakeUpstream } from "./fake-upstream.js";

const { values } = parseArgs({ options: { port: { type: "string", default: "0" } } });
const fake = await startFakeUpstream(Number(values.port));
process.stdout.write(`fake upstream on ${fake.url}\n`);
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.once(signal, () => {
    fake.close().then(() => process.exit(0));
  });
}
