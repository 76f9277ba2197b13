/** Columns of the table of controls: what may be asked and told, and what is kept. */
import { expect } from "vitest";
import type { Answer } from "./calls.js";
import {
  eventsOf,
  expectGood,
  expectRefusal,
  modelName,
  send,
  sendTimes,
  statusesOf,
  type Table,
  upstreamName,
  weir,
} from "./table-gateway.js";
import { type Control, passes } from "./table-limits.js";
import { isAsking, type Row } from "./table-surfaces.js";
import { BAD, GOOD, MAIL, MASKED_MAIL } from "./table-upstream.js";

/** Not the whole of one: what is found is not told again. */
const NUMBER = "Remember 536-22-8726.";

const reading = ({ traits }: Row): string | null =>
  traits === null ? "nothing is asked of a model" : traits.reads === true ? null : traits.reads;
const telling = ({ traits }: Row): string | null =>
  traits === null ? "no model tells anything" : traits.tells === true ? null : traits.tells;
const keeping = ({ traits }: Row): string | null =>
  traits === null ? "it is answered from memory" : traits.keeps === true ? null : traits.keeps;

const bodies = ({ upstream }: Table, row: Row, model: string) => upstream.bodies(upstreamName(row, model));

function expectBlocked(row: Row, answer: Answer): void {
  expectRefusal(row, answer, 422, "content_filter");
  expect(answer.text).not.toMatch(/falcon flew|the falcon|8726/i);
}

/** A model with guardrails, where they find nothing that they could look at. */
const untouched = (model: string, text: string) => async (table: Table, row: Row) => {
  if (!isAsking(row)) return passes(table, row);
  const answer = await send(table, row, { model, text });
  expect(answer.status, answer.text).toBe(200);
  const [event] = eventsOf(table, weir(answer, "request-id"));
  expect(event?.guardrails ?? []).toEqual([]);
};

const actionsOf = (table: Table, answer: Answer) =>
  eventsOf(table, weir(answer, "request-id")).flatMap(({ guardrails }) => guardrails);

const INPUT: readonly Control[] = [
  {
    name: "guardrails block a request, and nothing is consumed",
    exempt: reading,
    none: untouched("blocked", GOOD),
    async holds(table, row) {
      const key = "guarded";
      for (const text of [BAD, NUMBER, BAD]) {
        expectBlocked(row, await send(table, row, { model: "blocked", key, text }));
      }
      expect(bodies(table, row, "blocked")).toHaveLength(0);
      expect(statusesOf(await sendTimes(table, row, 3, { model: "blocked", key }))).toEqual([200, 200, 429]);
    },
  },
  {
    name: "guardrails mask a request",
    exempt: reading,
    none: untouched("masked", GOOD),
    async holds(table, row) {
      const answer = await send(table, row, { model: "masked", text: MAIL });
      expectGood(row, answer);
      const [body = ""] = bodies(table, row, "masked");
      expect(body).toContain(MASKED_MAIL);
      expect(body).not.toContain("ann@");
      expect(actionsOf(table, answer)).toEqual([{ name: "no-mails", action: "mask", hook: "input" }]);
    },
  },
  {
    name: "guardrails watch a request",
    exempt: reading,
    none: untouched("watched", GOOD),
    async holds(table, row) {
      const answer = await send(table, row, { model: "watched", text: `${BAD} ${NUMBER}` });
      expectGood(row, answer);
      expect(bodies(table, row, "watched").at(-1)).toContain(`${BAD} ${NUMBER}`);
      const watched = ["watch-falcons", "watch-numbers"];
      expect(actionsOf(table, answer)).toEqual(watched.map((name) => ({ name, action: "monitor", hook: "input" })));
    },
  },
];

const OUTPUT: readonly Control[] = [
  {
    name: "guardrails block an answer, which is paid for",
    exempt: telling,
    none: untouched("tells-bad", GOOD),
    async holds(table, row) {
      const answer = await send(table, row, { model: "tells-bad" });
      const [event] = eventsOf(table, weir(answer, "request-id"));
      expect(event).toMatchObject({ status: 422, error: "content_filter", upstream_status: 200, complete: false });
      expect(event?.guardrails).toEqual([{ name: "no-falcons", action: "block", hook: "output" }]);
      expect(event?.cost_usd).toBeGreaterThan(0);
      expectBlocked(row, answer);
    },
  },
  {
    name: "guardrails mask an answer",
    exempt: telling,
    none: untouched("tells-mail", GOOD),
    async holds(table, row) {
      const answer = await send(table, row, { model: "tells-mail" });
      expectGood(row, answer, MASKED_MAIL);
      expect(answer.text).not.toContain("ann@");
      expect(actionsOf(table, answer)).toEqual([{ name: "no-mails", action: "mask", hook: "output" }]);
    },
  },
  {
    name: "guardrails watch an answer",
    exempt: telling,
    none: untouched("tells-watched", GOOD),
    async holds(table, row) {
      const answer = await send(table, row, { model: "tells-watched" });
      expectGood(row, answer, BAD);
      expect(actionsOf(table, answer)).toEqual([{ name: "watch-falcons", action: "monitor", hook: "output" }]);
    },
  },
];

/** Passed by the cache, however often it is asked. */
const bypassed = async (table: Table, row: Row): Promise<void> => {
  if (!isAsking(row)) return passes(table, row);
  const before = bodies(table, row, "kept").length;
  for (const answer of await sendTimes(table, row, 2, { model: "kept" })) {
    expectGood(row, answer);
    expect(weir(answer, "cache")).toBe("bypass");
  }
  expect(bodies(table, row, "kept")).toHaveLength(before + 2);
};

const cachesOf = (answers: readonly Answer[]) => answers.map((answer) => weir(answer, "cache"));

const CACHE: readonly Control[] = [
  {
    name: "an equal request is answered from the cache: one request, no tokens, no money",
    exempt: keeping,
    none: bypassed,
    async holds(table, row) {
      const asking = { key: "keeping", model: "kept", text: "What flew first?" };
      const answers = await sendTimes(table, row, 3, asking);
      expect(cachesOf(answers)).toEqual(["miss", "hit", "hit"]);
      for (const answer of answers) expectGood(row, answer);
      expect(bodies(table, row, "kept").filter((body) => body.includes(asking.text))).toHaveLength(1);
      const [, first, second] = answers.map(({ headers }) =>
        ["requests", "tokens"].map((unit) => Number(headers[`x-ratelimit-remaining-${unit}`])),
      );
      expect([(first?.[0] ?? 0) - (second?.[0] ?? 0), (first?.[1] ?? 0) - (second?.[1] ?? 0)]).toEqual([1, 0]);
      const [miss, hit] = answers.slice(0, 2).map((answer) => eventsOf(table, weir(answer, "request-id"))[0]);
      expect(hit).toMatchObject({ cache: "hit", attempt: 0, input_tokens: 0, output_tokens: 0, cost_usd: 0 });
      expect([hit?.saved_input_tokens, hit?.saved_output_tokens, hit?.saved_cost_usd]).toEqual([
        miss?.input_tokens,
        miss?.output_tokens,
        miss?.cost_usd,
      ]);
    },
  },
  {
    name: "no-cache asks anew",
    exempt: keeping,
    none: bypassed,
    async holds(table, row) {
      const asking = { model: "kept", text: "What flew second?" };
      const anew = { ...asking, headers: { "cache-control": "no-cache" } };
      const answers = [...(await sendTimes(table, row, 1, asking)), ...(await sendTimes(table, row, 1, anew))];
      answers.push(await send(table, row, asking));
      expect(cachesOf(answers)).toEqual(["miss", "miss", "hit"]);
      expect(bodies(table, row, "kept").filter((body) => body.includes(asking.text))).toHaveLength(2);
    },
  },
  {
    name: "no-store is not kept",
    exempt: keeping,
    none: bypassed,
    async holds(table, row) {
      const asking = { model: "kept", text: "What flew third?" };
      const secret = { ...asking, headers: { "cache-control": "no-store" } };
      const answers = [...(await sendTimes(table, row, 1, secret)), ...(await sendTimes(table, row, 2, asking))];
      expect(cachesOf(answers)).toEqual(["miss", "miss", "hit"]);
    },
  },
  {
    name: "without a policy for the model nothing is kept",
    exempt: (row) => (isAsking(row) ? null : "it is answered from memory"),
    none: passes,
    async holds(table, row) {
      const answers = await sendTimes(table, row, 2, { text: `Which birds know ${modelName(row, "plain")}?` });
      expect(cachesOf(answers)).toEqual(["bypass", "bypass"]);
    },
  },
];

export const CONTENT: readonly Control[] = [...INPUT, ...OUTPUT, ...CACHE];
