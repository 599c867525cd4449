/**
 * One subscriber: its own numbering, the events it has not acknowledged, and at most one open stream
 * (contract `wire` §1.8).
 *
 * @module
 */
import { BoundedFeed } from "../bounded_feed.ts";
import { INVALIDATION_LIMITS } from "./limits.ts";

/** What is announced. */
export type Announcement =
  /** An empty `agent_id` means every agent. */
  | { readonly kind: "policy_invalidated"; readonly agent_id: string; readonly version: bigint }
  | {
    readonly kind: "approval_resolved";
    readonly request_id: string;
    readonly decision: "approved" | "denied";
  };

/** An announcement with its number for one subscriber. */
export interface NumberedEvent {
  readonly seq: bigint;
  readonly event: Announcement;
}

/** Why a stream ended. */
export type StreamEnd = "cancelled" | "lagging" | "replaced" | "unregistered" | "stopped";

/** Events that can never be given again were missed: only starting afresh helps. */
export class ResyncNeeded extends Error {
  override readonly name = "ResyncNeeded";
}

/** A subscriber, connected or not. */
export class Subscriber {
  #next_seq = 1n;
  /** Highest number that left the ring without an acknowledgement. */
  #lost_through = 0n;
  #ring: NumberedEvent[] = [];
  #stream: InvalidationStream | undefined;
  /** When the last stream ended. */
  disconnected_ms: number;

  constructor(readonly tenant: string, now_ms: number) {
    this.disconnected_ms = now_ms;
  }

  /** Whether a stream is open. */
  get connected(): boolean {
    return this.#stream !== undefined;
  }

  /** Numbers an event, keeps it, and gives it to the open stream. */
  announce(event: Announcement): void {
    const numbered = { seq: this.#next_seq++, event };
    this.#ring.push(numbered);
    if (this.#ring.length > INVALIDATION_LIMITS.ring_events) {
      this.#lost_through = this.#ring.shift()?.seq ?? this.#lost_through;
    }
    this.#stream?.push(numbered);
  }

  /** Forgets what the subscriber has. Numbers that were never given are ignored. */
  acknowledge(seq: bigint): void {
    if (seq >= this.#next_seq) return;
    this.#ring = this.#ring.filter((kept) => kept.seq > seq);
  }

  /**
   * Opens a stream that begins with what came after `last_seq_seen`; the one before ends.
   *
   * @throws {ResyncNeeded} when some of that is lost, or the number is not one this gateway gave.
   */
  open(
    last_seq_seen: bigint,
    by: string,
    ended: (stream: InvalidationStream) => void,
  ): InvalidationStream {
    if (last_seq_seen >= this.#next_seq) {
      throw new ResyncNeeded(
        `last_seq_seen: is \`${last_seq_seen}\`, this gateway has given you ` +
          `${this.#next_seq - 1n} event(s) since it remembers you: what you cached may be stale; ` +
          "drop it and subscribe with 0",
      );
    }
    // 0 says that nothing is cached, so nothing can be stale.
    if (last_seq_seen > 0n && last_seq_seen < this.#lost_through) {
      throw new ResyncNeeded(
        `events ${last_seq_seen + 1n} to ${this.#lost_through} are no longer kept: drop what you ` +
          "cached and subscribe with last_seq_seen 0",
      );
    }
    this.#stream?.end("replaced");
    const replay = this.#ring.filter((kept) => kept.seq > last_seq_seen);
    const stream = new InvalidationStream(by, replay, (left) => {
      if (this.#stream === left) this.#stream = undefined;
      ended(left);
    });
    this.#stream = stream;
    return stream;
  }

  /** Ends the open stream. */
  disconnect(why: StreamEnd, by?: string): void {
    if (by === undefined || this.#stream?.by === by) this.#stream?.end(why);
  }
}

/**
 * One open stream, for one reader: what was missed, then what happens. A lagging one ends: the ring
 * still has what it missed.
 */
export class InvalidationStream extends BoundedFeed<NumberedEvent, StreamEnd> {
  readonly #left: (stream: InvalidationStream) => void;

  /** @param by Registry key of the agent that opened it. */
  constructor(
    readonly by: string,
    replay: readonly NumberedEvent[],
    left: (stream: InvalidationStream) => void,
  ) {
    super(INVALIDATION_LIMITS.live_events, replay);
    this.#left = left;
  }

  protected override gone(): void {
    this.#left(this);
  }
}
