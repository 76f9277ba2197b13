/** Full speed, while nodes and NATS servers are killed and started again at random: nothing is lost, nothing doubled. */
import { type Received, takeAccount } from "./account.js";
import { Faults } from "./faults.js";
import { CALLER_KEY, Fleet, MODEL } from "./fleet.js";
import { Load } from "./load.js";
import { few, type Outcome, type RigOptions } from "./outcome.js";

const BAR_REQUESTS = 100_000;
const LANES = 48;
const STREAMS = 4;
/** At least so many of each, however quickly the requests are through: what is left of the load then goes on. */
const LEAST_KILLS = 1;

export async function usageKills(options: RigOptions): Promise<Outcome> {
  const { balanced, requests, seed, say, short } = options;
  const begun = performance.now();
  const fleet = await Fleet.start({ balanced });
  try {
    const received: Received[] = [];
    const statuses = new Map<number, number>();
    const load = new Load({
      urls: fleet.urls,
      keys: [CALLER_KEY],
      model: MODEL,
      lanes: LANES,
      streams: STREAMS,
      wanted: { frames: 20, gap_ms: 10 },
      onReply: ({ status, user, requestId, attempts }) => {
        statuses.set(status, (statuses.get(status) ?? 0) + 1);
        if (status === 200) received.push({ user, requestId, attempts });
      },
    });
    const pace = short ? { calm: [500, 1_000], away: [300, 800] } : { calm: [2_000, 5_000], away: [500, 3_000] };
    const faults = new Faults(fleet, { seed, say, ...(pace as { calm: [number, number]; away: [number, number] }) });
    const enough = () => load.sent >= requests && faults.nodeKills >= LEAST_KILLS && faults.natsKills >= LEAST_KILLS;
    while (!enough()) await new Promise((done) => setTimeout(done, 50));
    const problems = [...(await faults.stop())];
    await load.stop();
    say(`  ${load.sent} requests, ${received.length} answers received; reading the stream`);
    const account = await takeAccount(fleet, received);
    problems.push(...account.problems);
    if (received.length < requests / 2) problems.push(`only ${received.length} answers were received`);
    return {
      scenario: "usage-kills",
      variant: "",
      bar: "one event per attempt of every answer received, tokens equal the upstream's",
      short: requests < BAR_REQUESTS,
      figures: {
        requests: load.sent,
        received: received.length,
        "node kills": faults.nodeKills,
        "NATS kills": faults.natsKills,
        messages: account.messages,
        events: account.events,
        tokens: account.inputTokens + account.outputTokens,
        "other answers": [...statuses]
          .filter(([status]) => status !== 200)
          .map((pair) => pair.join(": "))
          .join(", "),
        problems: problems.length,
      },
      problems: few(problems),
      seconds: (performance.now() - begun) / 1_000,
    };
  } finally {
    await fleet.dispose();
  }
}
