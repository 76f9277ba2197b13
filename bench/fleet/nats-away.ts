/** All NATS servers are away for a while: callers notice nothing, no event is lost or doubled, and limits go on. */
import { until } from "../../test/e2e/gateway.js";
import { pause } from "../load/children.js";
import { type Account, type Received, takeAccount } from "./account.js";
import { CALLER_KEY, Fleet, MODEL } from "./fleet.js";
import { admitted, NOTICED_MS, nextWindow, offer, reach, SHAPES, type Shape } from "./limits.js";
import { Load, type Reply } from "./load.js";
import { few, type Outcome, type RigOptions } from "./outcome.js";
import { describe } from "./rolling-restart.js";
import { type FaultTime, type WindowCount, windowProblems } from "./windows.js";

const BAR_MS = 60_000;
const RATE = 100;
const LOST_MS = 10_000;

/** What happened, and when. */
interface Absence {
  readonly windows: readonly WindowCount[];
  readonly faults: readonly FaultTime[];
  readonly awayMs: number;
  readonly backlogs: readonly number[];
}

export async function natsAway(options: RigOptions): Promise<Outcome> {
  const { awayMs, balanced } = options;
  const begun = performance.now();
  // A minute's window shows what is counted twice; a short run has no time for it.
  const shape = awayMs < BAR_MS ? SHAPES.rps : SHAPES.rpm;
  const fleet = await Fleet.start({ balanced, limit: { [shape.kind]: shape.limit } });
  try {
    const received: Received[] = [];
    const failed: Reply[] = [];
    const note = (reply: Reply): void => {
      const { status, user, requestId, attempts } = reply;
      if (status === 200) received.push({ user, requestId, attempts });
      else failed.push(reply);
    };
    const from = await nextWindow(shape);
    const load = new Load({
      urls: fleet.urls,
      keys: [CALLER_KEY],
      model: MODEL,
      rate: RATE,
      lanes: 512,
      streams: 64,
      wanted: { frames: 20, gap_ms: 20 },
      onReply: note,
    });
    const limited = offer(fleet, shape, (reply) => {
      if (reply.status !== 429) note(reply);
    });
    const absence = await play(fleet, shape, from, options);
    await Promise.all([load.stop(), limited.stop()]);
    const account = await takeAccount(fleet, received);
    const problems = [...failed.map(describe), ...account.problems, ...limitProblems(absence, shape)];
    if (load.skipped > 0) problems.push(`${load.skipped} requests found all lanes busy`);
    if (absence.backlogs.some((bytes) => bytes === 0)) problems.push("a node had no backlog while NATS was away");
    return {
      scenario: "nats-away",
      variant: "",
      bar: `no failed request, no event lost or doubled, ${shape.kind} ${shape.limit} kept within 1 %`,
      short: awayMs < BAR_MS,
      figures: figuresOf(absence, account, { requests: load.sent, failed: failed.length, problems: problems.length }),
      problems: few(problems),
      seconds: (performance.now() - begun) / 1_000,
    };
  } finally {
    await fleet.dispose();
  }
}

/** Gone in the middle of a window, when its limit is used up; back in the middle of another. */
async function play(fleet: Fleet, shape: Shape, from: number, { awayMs, say }: RigOptions): Promise<Absence> {
  const { windowMs } = shape;
  const calm = windowMs < 10_000 ? 3 : 1;
  await reach(from + (calm + 0.5) * windowMs);
  const goneAt = Date.now();
  await fleet.nats.killAll();
  say("  all NATS servers killed");
  for (const node of fleet.nodes) await until(async () => (await node.status()).nats?.state !== "connected", LOST_MS);
  await pause(Math.max(0, awayMs - (Date.now() - goneAt)));
  const backlogs = await Promise.all(fleet.nodes.map(async (node) => (await node.status()).usage?.backlog_bytes ?? 0));
  await fleet.nats.startAll();
  say("  and started again");
  await fleet.settled();
  const backAt = Date.now();
  const windows = Math.ceil((backAt + NOTICED_MS - from) / windowMs) + calm;
  await reach(from + windows * windowMs);
  const faults = [
    { what: "NATS goes", from: goneAt, to: goneAt + NOTICED_MS },
    { what: "NATS comes back", from: goneAt + awayMs, to: backAt + NOTICED_MS },
  ];
  return { windows: await admitted(fleet, shape, from, windows), faults, awayMs: backAt - goneAt, backlogs };
}

/** Its nodes share a limit evenly while they cannot ask each other, so even then all of it is to be had. */
function limitProblems({ windows, faults }: Absence, { limit, windowMs, excess, least }: Shape): string[] {
  return windowProblems(windows, { limit, windowMs, excess, least, faults });
}

function figuresOf(
  { windows, awayMs, backlogs }: Absence,
  { messages, events }: Account,
  counts: Record<string, number>,
): Record<string, number | string> {
  return {
    "away s": Math.round(awayMs / 100) / 10,
    ...counts,
    "backlog KiB": Math.round(backlogs.reduce((sum, bytes) => sum + bytes, 0) / 1024),
    messages,
    events,
    "admitted in each window": windows.map(({ units }) => units).join(" "),
  };
}
