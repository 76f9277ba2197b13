/** All NATS servers are away for a while: callers notice nothing, no event is lost or doubled, and limits go on. */
import { until } from "../../test/e2e/gateway.js";
import { pause } from "../load/children.js";
import { type Account, type Received, takeAccount } from "./account.js";
import { CALLER_KEY, Fleet, MODEL } from "./fleet.js";
import { admitted, BRIEF, NOTICED_MS, nextWindow, offer, reach, SHAPES, type Shape } from "./limits.js";
import { Load, type Reply } from "./load.js";
import { few, type Outcome, type RigOptions } from "./outcome.js";
import { describe } from "./rolling-restart.js";
import { type FaultTime, type WindowCount, windowProblems } from "./windows.js";

const BAR_MS = 60_000;
const RATE = 100;
const LOST_MS = 10_000;
/** A short run's limit is used up after so long; and it goes on for so long when NATS is back. */
const BRIEF_MS = 6_000;

/** When it was away, ms since 1970. */
interface Absence {
  readonly goneAt: number;
  readonly backAt: number;
  /** What each node had not sent by then, bytes. */
  readonly backlogs: readonly number[];
}

/** When it is to go, and what is counted. */
interface Schedule {
  readonly shape: Shape;
  /** The first window, ms since 1970. */
  readonly from: number;
  readonly goneAt: number;
  /** When the load may end after a return at this time. */
  end(backAt: number): number;
}

export async function natsAway(options: RigOptions): Promise<Outcome> {
  const { awayMs, balanced } = options;
  const begun = performance.now();
  const isBrief = awayMs < BAR_MS;
  const shape = isBrief ? BRIEF : SHAPES.rpm;
  const fleet = await Fleet.start({ balanced, limit: { [shape.kind]: shape.limit } });
  try {
    const received: Received[] = [];
    const failed: Reply[] = [];
    const note = (reply: Reply): void => {
      const { status, user, requestId, attempts } = reply;
      if (status === 200) received.push({ user, requestId, attempts });
      else failed.push(reply);
    };
    const schedule = await (isBrief ? briefSchedule() : fullSchedule());
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
    const absence = await play(fleet, schedule, options);
    const end = schedule.end(absence.backAt);
    await reach(end);
    await Promise.all([load.stop(), limited.stop()]);
    const windows = await admitted(fleet, shape, schedule.from, Math.ceil((end - schedule.from) / shape.windowMs));
    const account = await takeAccount(fleet, received);
    const problems = [...failed.map(describe), ...account.problems, ...limitProblems(windows, absence, shape)];
    if (absence.backlogs.some((bytes) => bytes === 0)) problems.push("a node had no backlog while NATS was away");
    const counts = { requests: load.sent, "all lanes busy": load.skipped, failed: failed.length };
    return {
      scenario: "nats-away",
      variant: "",
      bar: `no failed request, no event lost or doubled, ${shape.kind} ${shape.limit} kept within 1 %`,
      short: isBrief,
      figures: { ...figuresOf(absence, account, windows), ...counts, problems: problems.length },
      problems: few(problems),
      seconds: (performance.now() - begun) / 1_000,
    };
  } finally {
    await fleet.dispose();
  }
}

/** Gone in the middle of the second minute, when its limit is used up; what then is left is a whole minute and more. */
async function fullSchedule(): Promise<Schedule> {
  const shape = SHAPES.rpm;
  const { windowMs } = shape;
  const from = await nextWindow(shape);
  const end = (backAt: number): number => from + (Math.ceil((backAt + NOTICED_MS - from) / windowMs) + 1) * windowMs;
  return { shape, from, goneAt: from + 1.5 * windowMs, end };
}

/** Begins at once, unless the minute is nearly over. */
async function briefSchedule(): Promise<Schedule> {
  const left = BRIEF.windowMs - (Date.now() % BRIEF.windowMs);
  if (left < BRIEF_MS) await pause(left);
  const from = Math.floor(Date.now() / BRIEF.windowMs) * BRIEF.windowMs;
  return { shape: BRIEF, from, goneAt: Date.now() + BRIEF_MS, end: (backAt) => backAt + BRIEF_MS };
}

async function play(fleet: Fleet, { goneAt }: Schedule, { awayMs, say }: RigOptions): Promise<Absence> {
  await reach(goneAt);
  await fleet.nats.killAll();
  say("  all NATS servers killed");
  for (const node of fleet.nodes) await until(async () => (await node.status()).nats?.state !== "connected", LOST_MS);
  await reach(goneAt + awayMs);
  const backlogs = await Promise.all(fleet.nodes.map(async (node) => (await node.status()).usage?.backlog_bytes ?? 0));
  await fleet.nats.startAll();
  say("  and started again");
  await fleet.settled();
  return { goneAt, backAt: Date.now(), backlogs };
}

/** Its nodes share a limit evenly while they cannot ask each other, so even then all of it is to be had. */
function limitProblems(windows: readonly WindowCount[], { goneAt, backAt }: Absence, shape: Shape): string[] {
  const { limit, windowMs, excess, least } = shape;
  const faults: FaultTime[] = [
    { what: "NATS goes", from: goneAt, to: goneAt + NOTICED_MS },
    { what: "NATS comes back", from: backAt - NOTICED_MS, to: backAt + NOTICED_MS },
  ];
  // A brief run ends within its last window, long after the return: nothing is missed there, but there may be too much.
  const fewest = shape === BRIEF ? ([0, 0] as const) : least;
  return windowProblems(windows, { limit, windowMs, excess, least: fewest, faults });
}

function figuresOf(
  { goneAt, backAt, backlogs }: Absence,
  { messages, events }: Account,
  windows: readonly WindowCount[],
): Record<string, number | string> {
  return {
    "away s": Math.round((backAt - goneAt) / 100) / 10,
    "backlog KiB": Math.round(backlogs.reduce((sum, bytes) => sum + bytes, 0) / 1024),
    messages,
    events,
    "admitted in each window": windows.map(({ units }) => units).join(" "),
  };
}
