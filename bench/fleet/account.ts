/** Holds what the stream says was used against what clients received and what the upstream gave. */
import type { UsageEvent } from "../../src/usage/event.js";
import type { Fleet } from "./fleet.js";
import type { Reply } from "./load.js";
import type { Given } from "./wanted.js";

/** `WEIR_USAGE` of a fleet named "rig". */
const STREAM = "RIG_USAGE";

/** An answer that its client received wholly. */
export type Received = Pick<Reply, "user" | "requestId" | "attempts">;

export interface Account {
  readonly received: number;
  /** Messages in the stream; events after those of equal id were left out. */
  readonly messages: number;
  readonly events: number;
  readonly inputTokens: number;
  readonly outputTokens: number;
  readonly problems: readonly string[];
}

type Noted = Pick<UsageEvent, "id" | "request_id" | "attempt" | "input_tokens" | "output_tokens">;

/** Waits until all journals are in the stream, and reads it. */
export async function takeAccount(fleet: Fleet, received: readonly Received[]): Promise<Account> {
  await fleet.drained();
  const messages = await fleet.nats.server(0).messages(STREAM);
  const events = messages.map(({ data }) => JSON.parse(Buffer.from(data).toString("utf8")) as Noted);
  return compare(received, events, await fleet.given());
}

/** Exactly one event for every attempt of a received answer, with the tokens that the upstream gave for it. */
export function compare(
  received: readonly Received[],
  messages: readonly Noted[],
  given: ReadonlyMap<string, Given>,
): Account {
  const unique = new Map(messages.map((event) => [event.id, event]));
  const byRequest = new Map<string, Noted[]>();
  for (const event of unique.values()) {
    const list = byRequest.get(event.request_id);
    if (list === undefined) byRequest.set(event.request_id, [event]);
    else list.push(event);
  }
  const problems: string[] = [];
  let input = 0;
  let output = 0;
  for (const { user, requestId, attempts } of received) {
    const events = byRequest.get(requestId) ?? [];
    const numbers = events.map(({ attempt }) => attempt).sort((left, right) => left - right);
    const wanted = Array.from({ length: attempts }, (_, index) => index + 1);
    const name = `${user} (${requestId})`;
    if (numbers.join() !== wanted.join()) {
      problems.push(`${name}: events of the attempts [${numbers}], must be [${wanted}]`);
    }
    const told = { input: sum(events, "input_tokens"), output: sum(events, "output_tokens") };
    const gave = given.get(user);
    if (told.input !== gave?.input || told.output !== gave.output) {
      problems.push(`${name}: ${told.input} + ${told.output} tokens; upstream: ${gave?.input} + ${gave?.output}`);
    }
    input += told.input;
    output += told.output;
  }
  return {
    received: received.length,
    messages: messages.length,
    events: unique.size,
    inputTokens: input,
    outputTokens: output,
    problems,
  };
}

function sum(events: readonly Noted[], field: "input_tokens" | "output_tokens"): number {
  return events.reduce((total, event) => total + event[field], 0);
}
