/** Every node is ended by SIGTERM and started again, one after the other, under load: no caller notices. */
import { pause } from "../load/children.js";
import { type Received, takeAccount } from "./account.js";
import { CALLER_KEY, Fleet, MODEL } from "./fleet.js";
import { Load, type Reply } from "./load.js";
import { few, type Outcome, type RigOptions } from "./outcome.js";

const LANES = 24;
const STREAMS = 16;
/** Balancers need two checks to notice. */
const NOTICE_MS = 1_500;
const CALM_MS = { short: 1_000, full: 5_000 } as const;

export async function rollingRestart(options: RigOptions): Promise<Outcome> {
  const { short, say } = options;
  const begun = performance.now();
  const fleet = await Fleet.start({ balanced: true, config: { drain: { notice_ms: NOTICE_MS, max_ms: 30_000 } } });
  try {
    const calm = short ? CALM_MS.short : CALM_MS.full;
    const received: Received[] = [];
    const failed: Reply[] = [];
    let streams = 0;
    const load = new Load({
      urls: fleet.urls,
      keys: [CALLER_KEY],
      model: MODEL,
      lanes: LANES,
      streams: STREAMS,
      // Two seconds a stream: longer than the notice, so that some of them outlive the listener.
      wanted: { frames: 100, gap_ms: 20 },
      onReply: (reply) => {
        if (reply.status !== 200) failed.push(reply);
        else {
          received.push({ user: reply.user, requestId: reply.requestId, attempts: reply.attempts });
          if (reply.streamed) streams += 1;
        }
      },
    });
    const problems: string[] = [];
    await pause(calm);
    for (const node of fleet.nodes) {
      const code = await node.end("SIGTERM");
      say(`  node ${node.name} ended with ${code}`);
      if (code !== 0) problems.push(`node ${node.name} ended with ${code}`);
      await node.start();
      await fleet.settled();
      await pause(calm);
    }
    await load.stop();
    const account = await takeAccount(fleet, received);
    problems.push(...failed.map(describe), ...account.problems);
    return {
      scenario: "rolling-restart",
      variant: "",
      bar: "0 failed requests, streams included",
      short,
      figures: {
        requests: load.sent,
        failed: failed.length,
        "streams received": streams,
        events: account.events,
        problems: problems.length,
      },
      problems: few(problems),
      seconds: (performance.now() - begun) / 1_000,
    };
  } finally {
    await fleet.dispose();
  }
}

export function describe({ user, status, streamed, problem, sentAt, endedAt }: Reply): string {
  const when = new Date(sentAt).toISOString().slice(11, 23);
  return `${user}${streamed ? ", a stream" : ""}: ${status} ${problem} (sent ${when}, ended ${Math.round(endedAt - sentAt)} ms later)`;
}
