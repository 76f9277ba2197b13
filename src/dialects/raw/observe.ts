/** Answers of which nothing is known are not looked at. */
import { type AnswerObserver, FRAME, type StreamObserver } from "../dialect.js";

export class RawAnswerObserver implements AnswerObserver {
  feed(): void {}
  finish(): void {}
}

export class RawStreamObserver implements StreamObserver {
  /** Never matches. */
  readonly interest = /(?!)/g;

  observe(): number {
    return FRAME.WHOLE;
  }
}
