/** Which relay an answer needs: by what the upstream sends, what the caller asked for, and whether both speak alike. */
import { StreamTap } from "../dialects/stream-tap.js";
import { type AnswerHead, isEventStream } from "./answer-head.js";
import type { Attempt, Relay } from "./attempt.js";
import { CountRelay } from "./count-relay.js";
import { OperationRelay } from "./operation-relay.js";
import { outputScreenOf } from "./output-screen.js";
import { RecordedTap } from "./record-answer.js";
import { type EventTap, StreamRelay } from "./stream-relay.js";
import { TranslatingRelay } from "./translating-relay.js";
import { TranslatingTap } from "./translating-tap.js";
import { WholeRelay } from "./whole-relay.js";

export function relayFor(attempt: Attempt, head: AnswerHead): Relay {
  const { translation, target, exchange, node } = attempt;
  if (target.counter !== null) return new CountRelay(attempt, head, target.counter);
  const streamed = head.status < 300 && isEventStream(head.contentType);
  if (exchange.outgoing?.verbatim === true && outputScreenOf(exchange, node) === null) {
    return new WholeRelay(attempt, head);
  }
  if (translation !== null && translation.told !== null) return new OperationRelay(attempt, head, translation);
  if (translation === null) return streamed ? passingStream(attempt, head) : new WholeRelay(attempt, head);
  if (streamed && attempt.exchange.view?.stream === true) {
    return new StreamRelay(attempt, head, screenedTap(attempt, new TranslatingTap(attempt, translation)));
  }
  return new TranslatingRelay(attempt, head, translation);
}

function passingStream(attempt: Attempt, head: AnswerHead): Relay {
  const { exchange, node, tally } = attempt;
  if (exchange.view === null) throw new Error("a stream needs a resolved request");
  const observer = exchange.speech.dialect.streamObserver(exchange.view, tally);
  const tap = new StreamTap(observer, node.config.limits.event_bytes);
  return new StreamRelay(attempt, head, screenedTap(attempt, tap));
}

/** The tap with the cache and guardrails behind it, where they concern the answer. */
function screenedTap({ exchange, node }: Attempt, inner: EventTap): EventTap {
  const tap = exchange.recording === null ? inner : new RecordedTap(inner, exchange.recording);
  return exchange.screening === null ? tap : (outputScreenOf(exchange, node)?.tap(tap) ?? tap);
}
