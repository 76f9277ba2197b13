/** A connection without a server: what is published by one is heard by all that share the air. */
import type { Connection, ConnectionState, Incoming } from "../../../src/cluster/connection.js";

type Handle = (message: Incoming) => void;

export class Air {
  readonly handles = new Map<string, Set<Handle>>();
}

export class FakeConnection implements Pick<Connection, "publish" | "subscribe" | "onState" | "state"> {
  readonly published: { readonly subject: string; readonly data: Uint8Array }[] = [];
  readonly #air: Air;
  readonly #listeners = new Set<(state: ConnectionState) => void>();
  #state: ConnectionState = "connected";

  constructor(air: Air) {
    this.#air = air;
  }

  get state(): ConnectionState {
    return this.#state;
  }

  set state(state: ConnectionState) {
    this.#state = state;
    for (const listener of this.#listeners) listener(state);
  }

  publish(subject: string, data: Uint8Array): boolean {
    if (this.#state !== "connected") return false;
    this.published.push({ subject, data });
    for (const handle of this.#air.handles.get(subject) ?? []) handle({ subject, data, respond: () => false });
    return true;
  }

  subscribe(subject: string, handle: Handle): () => void {
    const heard: Handle = (message) => {
      if (this.#state === "connected") handle(message);
    };
    const handles = this.#air.handles.get(subject) ?? new Set();
    this.#air.handles.set(subject, handles.add(heard));
    return () => handles.delete(heard);
  }

  onState(listener: (state: ConnectionState) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}
