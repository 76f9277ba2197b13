import { afterEach, describe, expect, it } from "vitest";
import { packHealth, unpackHealth } from "../../../src/cluster/health-message.js";
import { HealthShare } from "../../../src/cluster/health-share.js";
import { Membership } from "../../../src/cluster/membership.js";
import type { ModelResource } from "../../../src/config/resources.js";
import { DEFAULT_COOLDOWN } from "../../../src/config/traffic.js";
import { COOLING_DOWN, UNHEALTHY, WELL } from "../../../src/routing/health.js";
import { direct, Fleet, resourcesOf } from "../routing/fleet.js";
import { Air, FakeConnection } from "./fake-connection.js";

const SUBJECT = "weir.health";
let now = Date.UTC(2030, 0, 1, 12);
const started: { stop(): void }[] = [];

afterEach(() => {
  for (const each of started.splice(0)) each.stop();
});

interface Node {
  readonly connection: FakeConnection;
  readonly membership: Membership;
  readonly share: HealthShare;
  readonly fleet: Fleet;
  /** Messages on health that it has sent. */
  sent(): number;
  end(): void;
}

const CHECK = {
  ...{ intervalSeconds: 60, timeoutSeconds: 10, staleAfterSeconds: 300, prompt: "?", maxTokens: 1 },
  ignoreStatuses: [],
};
const MODELS: readonly ModelResource[] = ["a", "b"].map((name) => direct(name, { backgroundCheck: CHECK }));

function join(air: Air, instance: string, models = MODELS): Node {
  const connection = new FakeConnection(air);
  const membership = new Membership({
    connection,
    subject: "weir.members",
    self: { node: `node-${instance}`, instance, version: "1", started_at: "" },
    load: () => ({ in_flight: 0, connections: 0 }),
    onChange: () => {},
    clock: () => now,
  });
  const fleet = new Fleet(models);
  const names = { health: SUBJECT };
  const share = new HealthShare({ connection, membership, names, instance, routing: fleet.shared, clock: () => now });
  membership.start();
  share.start();
  started.push(membership, share);
  const end = () => {
    share.stop();
    membership.stop();
  };
  const sent = () => connection.published.filter(({ subject }) => subject === SUBJECT).length;
  return { connection, membership, share, fleet, sent, end };
}

function pair(models = MODELS): readonly [Node, Node] {
  const air = new Air();
  return [join(air, "1", models), join(air, "2", models)];
}

function standing({ fleet }: Node, name: string, at = now) {
  return fleet.router.health.standing(fleet.slot(name), at);
}

function inFlight({ fleet }: Node, name: string): number {
  return fleet.router.health.inFlight(fleet.slot(name));
}

describe("a cooldown", () => {
  it("is with the others at the next look, with who began it, for the rest of its time", () => {
    const [first, second] = pair();
    const { health } = first.fleet.router;
    health.reportFailure(first.fleet.slot("a"), "status", 503);
    health.coolDown(first.fleet.slot("a"), now + 30_000);
    first.share.look();
    expect(standing(second, "a")).toBe(COOLING_DOWN);
    expect(standing(second, "b")).toBe(WELL);
    expect(second.fleet.shared.status(now)[0]).toMatchObject({ cooldown_from: "node-1", last_status: 503 });
    expect(first.fleet.shared.status(now)[0]).toMatchObject({ cooldown_from: "self", last_status: 503 });
    now += 30_100;
    expect(standing(second, "a")).toBe(WELL);
  });

  it("is not told twice by looks, nor told back", () => {
    const [first, second] = pair();
    for (const { share } of [first, second]) share.look();
    const before = [first.sent(), second.sent()];
    first.fleet.router.health.coolDown(first.fleet.slot("a"), now + 30_000);
    first.share.look();
    first.share.look();
    first.fleet.router.health.coolDown(first.fleet.slot("a"), now + 31_000);
    first.share.look();
    expect([first.sent(), second.sent()]).toEqual([(before[0] as number) + 1, before[1]]);
    second.share.look();
    second.share.round();
    expect(second.sent()).toBe(before[1]);
    first.share.round();
    expect(standing(second, "a", now + 30_500)).toBe(COOLING_DOWN);
    expect(standing(first, "a", now + 32_000)).toBe(WELL);
  });

  it("is passed over where the model has none, and cut to the bound of the node that hears of it", () => {
    const air = new Air();
    const first = join(air, "1");
    const off = join(air, "2", [direct("a", { cooldown: { ...DEFAULT_COOLDOWN, enabled: false } })]);
    const rules = { ...DEFAULT_COOLDOWN, defaultSeconds: 1, maxSeconds: 5 };
    const brief = join(air, "3", [direct("a", { cooldown: rules })]);
    first.fleet.router.health.coolDown(first.fleet.slot("a"), now + 60_000);
    first.share.look();
    expect(standing(off, "a")).toBe(WELL);
    expect(standing(brief, "a", now + 4_999)).toBe(COOLING_DOWN);
    expect(standing(brief, "a", now + 5_100)).toBe(WELL);
    now += 6_000;
    first.share.round();
    expect(standing(brief, "a")).toBe(WELL);
  });
});

describe("requests in flight", () => {
  it("are told each round, and that there are none any more", () => {
    const [first, second] = pair();
    first.fleet.router.health.changeInFlight(first.fleet.slot("a"), 1);
    first.share.round();
    expect([inFlight(first, "a"), inFlight(second, "a"), inFlight(second, "b")]).toEqual([1, 1, 0]);
    first.fleet.router.health.changeInFlight(first.fleet.slot("a"), -1);
    first.share.round();
    expect(inFlight(second, "a")).toBe(0);
    const before = first.sent();
    first.share.round();
    expect(first.sent()).toBe(before);
  });

  it("are none of a node that says farewell, has gone, or is silent", () => {
    const [first, second] = pair();
    first.fleet.router.health.changeInFlight(first.fleet.slot("a"), 1);
    first.share.round();
    expect(inFlight(second, "a")).toBe(1);
    first.membership.stop();
    expect(inFlight(second, "a")).toBe(0);
    first.membership.start();
    first.share.round();
    expect(inFlight(second, "a")).toBe(1);
    first.connection.state = "disconnected";
    for (let round = 0; round < 5; round += 1) {
      first.share.round();
      second.share.round();
    }
    expect(inFlight(second, "a")).toBe(0);
    first.connection.state = "connected";
    first.share.round();
    expect(inFlight(second, "a")).toBe(1);
  });
});

describe("who joins", () => {
  it("is told everything, at the next look", () => {
    const air = new Air();
    const first = join(air, "1");
    const { health } = first.fleet.router;
    health.reportSuccess(first.fleet.slot("a"), 200, 40, now);
    health.coolDown(first.fleet.slot("b"), now + 30_000);
    first.fleet.shared.health.recordCheck(first.fleet.slot("b"), { passed: false, status: 500, staleSeconds: 60 }, now);
    first.share.checked("b", { passed: false, status: 500, staleSeconds: 60 });
    first.share.round();
    first.share.round();
    const second = join(air, "2");
    first.share.look();
    expect(second.fleet.router.health.latencyMs(second.fleet.slot("a"), now)).toBe(40);
    expect(standing(second, "b")).toBe(UNHEALTHY);
    expect(standing(second, "b", now + 61_000)).toBe(WELL);
    expect(second.fleet.shared.status(now)[1]?.cooldown_from).toBe("node-1");
  });

  it("and who missed a message is told everything now and then", () => {
    const [first, second] = pair();
    second.connection.state = "disconnected";
    first.fleet.router.health.reportSuccess(first.fleet.slot("a"), 200, 40, now);
    first.share.round();
    second.connection.state = "connected";
    for (let round = 0; round < 30; round += 1) first.share.round();
    expect(second.fleet.router.health.latencyMs(second.fleet.slot("a"), now)).toBe(40);
  });
});

describe("background checks", () => {
  it("of one node are what all know; an older one changes nothing", () => {
    const [first, second] = pair();
    const failed = { passed: false, status: 0, staleSeconds: 60 };
    first.share.checked("a", failed);
    first.share.look();
    expect(standing(second, "a")).toBe(UNHEALTHY);
    const { health } = second.fleet.shared;
    health.recordCheck(second.fleet.slot("a"), { passed: true, status: 200, staleSeconds: 60 }, now + 1_000);
    first.share.checked("a", failed);
    first.share.look();
    expect(standing(second, "a", now + 1_000)).toBe(WELL);
  });

  it("of others count for as long as this node's own would, and of models that it does not check not at all", () => {
    const air = new Air();
    const first = join(air, "1");
    const second = join(air, "2", [direct("a", { backgroundCheck: CHECK }), direct("b")]);
    for (const name of ["a", "b"]) first.share.checked(name, { passed: false, status: 500, staleSeconds: 31_000_000 });
    first.share.look();
    expect([standing(second, "a"), standing(second, "b")]).toEqual([UNHEALTHY, WELL]);
    expect(standing(second, "a", now + 301_000)).toBe(WELL);
  });

  it("that have failed are overruled by a success at another node", () => {
    const [first, second] = pair();
    const result = { passed: false, status: 500, staleSeconds: 60 };
    second.fleet.shared.health.recordCheck(second.fleet.slot("a"), result, now);
    now += 1_000;
    first.fleet.router.health.reportSuccess(first.fleet.slot("a"), 200, 5, now);
    expect(standing(second, "a")).toBe(UNHEALTHY);
    first.share.round();
    expect(standing(second, "a")).toBe(WELL);
  });

  it("of a model are one node's to make: none is left out, few change hands, all have some", () => {
    const air = new Air();
    const nodes = ["1", "2", "3"].map((instance) => join(air, instance));
    const names = Array.from({ length: 300 }, (_, index) => `model-${index}`);
    const ranks = (name: string) => nodes.map(({ share }) => share.checkRank(name));
    const owners = new Map(names.map((name) => [name, ranks(name).indexOf(0)]));
    for (const name of names) expect(ranks(name).sort()).toEqual([0, 1, 2]);
    for (let index = 0; index < 3; index += 1) {
      expect([...owners.values()].filter((owner) => owner === index).length).toBeGreaterThan(50);
    }
    nodes[2]?.end();
    for (const name of names) {
      const owner = owners.get(name) as number;
      const left = nodes.slice(0, 2).map(({ share }) => share.checkRank(name));
      expect([...left].sort()).toEqual([0, 1]);
      if (owner < 2) expect(left.indexOf(0)).toBe(owner);
    }
  });

  it("are not left to one that drains, and are everybody's own while NATS is away", () => {
    const [first, second] = pair();
    const names = Array.from({ length: 50 }, (_, index) => `model-${index}`);
    expect(names.some((name) => second.share.checkRank(name) === 1)).toBe(true);
    first.membership.drain();
    expect(names.every((name) => second.share.checkRank(name) === 0)).toBe(true);
    second.connection.state = "disconnected";
    first.connection.state = "disconnected";
    expect(names.every((name) => first.share.checkRank(name) === 0)).toBe(true);
  });
});

describe("what comes over the wire", () => {
  it("is taken from members only, and only on models that are known here", () => {
    const [first, second] = pair([direct("a")]);
    const say = (instance: string, name: string) => {
      const models = [{ name, inFlight: 4, latency: null, cooldown: null, successAgeMs: null }];
      for (const data of packHealth({ instance, models, checks: [] })) first.connection.publish(SUBJECT, data);
    };
    say("stranger", "a");
    first.connection.publish(SUBJECT, Buffer.from("{}"));
    expect(inFlight(second, "a")).toBe(0);
    expect(second.share.status).toMatchObject({ refused: 2, words: 0 });
    say("1", "unknown");
    expect(second.share.status).toMatchObject({ words: 0 });
    say("1", "a");
    expect(inFlight(second, "a")).toBe(4);
    expect(second.share.status).toMatchObject({ refused: 2, words: 1 });
  });

  it("is forgotten with the model, and the record's next owner inherits nothing", () => {
    const [first, second] = pair();
    first.fleet.router.health.changeInFlight(first.fleet.slot("a"), 1);
    first.share.round();
    expect(inFlight(second, "a")).toBe(1);
    const slots = second.fleet.shared.assign(resourcesOf([direct("b"), direct("c")]));
    second.fleet.router.adopt(slots);
    second.share.round();
    expect(second.share.status.words).toBe(0);
    expect([inFlight(second, "b"), inFlight(second, "c")]).toEqual([0, 0]);
  });

  it("has no more than what is not at rest", () => {
    const models = Array.from({ length: 2_000 }, (_, index) => direct(`m${index}`));
    const [first] = pair(models);
    first.share.round();
    expect(first.sent()).toBe(0);
    first.fleet.router.health.reportSuccess(first.fleet.slot("m7"), 200, 5, now);
    first.share.round();
    const { data } = first.connection.published.at(-1) as { data: Uint8Array };
    expect(unpackHealth(data)?.models.map(({ name }) => name)).toEqual(["m7"]);
    const before = first.sent();
    first.share.round();
    expect(first.sent()).toBe(before);
  });
});
