/**
 * The queue of outgoing notifications: kept in the store until delivered, tried again with growing,
 * jittered pauses, given up after a bounded number of attempts. Nothing waits for it: a place that
 * cannot be reached delays no decision.
 *
 * @module
 */
import type { EntryDraft } from "../../core/audit/entry.ts";
import type { StateStore } from "../../storage/sqlite/records.ts";
import type { Clock } from "../clock.ts";
import type { Counters } from "../counters.ts";
import { governanceEntry } from "../engine/governance.ts";
import {
  bodyFor,
  type Channel,
  type ChannelName,
  headersFor,
  type NotificationEvent,
  uuidV7,
} from "./channel.ts";
import { PostError, type PostRequest } from "./http_post.ts";
import { NOTIFY_LIMITS } from "./limits.ts";

/** What the notifier stands on. */
export interface NotifierDependencies {
  readonly store: Pick<StateStore, "commit" | "records">;
  readonly record: (entry: EntryDraft) => Promise<unknown>;
  readonly counters: Pick<Counters, "add">;
  readonly clock: Clock;
  readonly channels: readonly Channel[];
  /** Sends; the status of the answer. */
  readonly post: (request: PostRequest) => Promise<number>;
  /** Bytes from a CSPRNG, for ids and jitter. */
  readonly random: (bytes: number) => Uint8Array;
}

/** One notification on its way to one channel. */
interface Queued {
  readonly key: string;
  readonly channel: ChannelName;
  readonly event_type: string;
  readonly body: string;
  readonly attempts: number;
  readonly next_at_ms: number;
}

/** How the queue stands. */
export interface NotifierStatus {
  readonly queued: number;
  readonly last_failure: string;
}

const COLLECTION = "notifications";
const FORM = 1;

/** Tells every channel of what happens. */
export class Notifier {
  readonly #on: NotifierDependencies;
  readonly #queue = new Map<string, Queued>();
  readonly #sending = new Map<string, Promise<void>>();
  readonly #stop = new AbortController();
  #last_failure = "";

  private constructor(on: NotifierDependencies) {
    this.#on = on;
  }

  /**
   * Reads the queue back. A record that cannot be understood is left where it is and counted: a
   * notification is not worth a gateway that does not start.
   */
  static async open(on: NotifierDependencies): Promise<Notifier> {
    const notifier = new Notifier(on);
    const known = new Set(on.channels.map((channel) => channel.name));
    for await (const page of on.store.records(COLLECTION)) {
      for (const { key, value } of page) {
        const queued = readQueued(key, value);
        if (queued === undefined || !known.has(queued.channel)) {
          on.counters.add("notifications_unreadable");
        } else notifier.#queue.set(key, queued);
      }
    }
    return notifier;
  }

  /** How it stands. */
  get status(): NotifierStatus {
    return { queued: this.#queue.size, last_failure: this.#last_failure };
  }

  /** Puts an event into the queue of every channel. Never rejects: what is lost is counted. */
  async notify(event_type: string, payload: NotificationEvent["payload"]): Promise<void> {
    const { channels, clock, counters, store } = this.#on;
    if (channels.length === 0) return;
    const now_ms = clock.now_ms();
    const event_id = uuidV7(now_ms, this.#on.random(16));
    const event = { event_id, event_type, published_at_ms: now_ms, payload };
    const made = channels.map(({ name }): Queued => ({
      key: `${event_id}-${name}`,
      channel: name,
      event_type,
      body: bodyFor(name, event),
      attempts: 0,
      next_at_ms: now_ms,
    }));
    const too_large = made.some(({ body }) =>
      new TextEncoder().encode(body).length > NOTIFY_LIMITS.body_bytes
    );
    if (too_large || this.#queue.size + made.length > NOTIFY_LIMITS.queued_notifications) {
      counters.add("notifications_dropped");
      return;
    }
    for (const queued of made) this.#queue.set(queued.key, queued);
    try {
      await store.commit(made.map((queued) => ({
        kind: "put_record",
        collection: COLLECTION,
        key: queued.key,
        value: writeQueued(queued),
      })));
    } catch {
      // It is still tried; only a restart would lose it.
      counters.add("notifications_not_stored");
    }
  }

  /** Begins the deliveries that are due; resolves when those it began have ended. */
  async tick(): Promise<void> {
    const now_ms = this.#on.clock.now_ms();
    const begun: Promise<void>[] = [];
    for (const queued of this.#queue.values()) {
      if (this.#sending.size >= NOTIFY_LIMITS.deliveries) break;
      // A clock that was set back must not hold a delivery for longer than its longest pause.
      const due = queued.next_at_ms <= now_ms ||
        queued.next_at_ms > now_ms + NOTIFY_LIMITS.backoff_ms;
      if (!due || this.#sending.has(queued.key)) continue;
      const sending = this.#deliver(queued).finally(() => this.#sending.delete(queued.key));
      this.#sending.set(queued.key, sending);
      begun.push(sending);
    }
    await Promise.all(begun);
  }

  /** Breaks off what is under way; it is tried again after the next start. */
  async close(): Promise<void> {
    this.#stop.abort();
    await Promise.allSettled(this.#sending.values());
  }

  async #deliver(queued: Queued): Promise<void> {
    const { counters } = this.#on;
    const failure = await this.#attempt(queued);
    if (this.#stop.signal.aborted) return;
    if (failure === undefined) {
      counters.add("notifications_delivered");
      return await this.#forget(queued);
    }
    this.#last_failure = `${queued.channel}: ${failure.message}`;
    counters.add("notification_attempts_failed");
    const attempts = queued.attempts + 1;
    if (failure.final || attempts >= NOTIFY_LIMITS.attempts) {
      counters.add("notifications_abandoned");
      await this.#on.record(governanceEntry("notification_abandoned", {
        channel: queued.channel,
        event_type: queued.event_type,
        notification: queued.key,
        attempts,
        reason: failure.message,
      }, this.#on.clock)).catch(() => {});
      return await this.#forget(queued);
    }
    const next_at_ms = this.#on.clock.now_ms() + this.#pause_ms(attempts);
    const later = { ...queued, attempts, next_at_ms };
    this.#queue.set(queued.key, later);
    await this.#on.store.commit([
      { kind: "put_record", collection: COLLECTION, key: queued.key, value: writeQueued(later) },
    ]).catch(() => counters.add("notifications_not_stored"));
  }

  async #attempt(queued: Queued): Promise<PostError | undefined> {
    const channel = this.#on.channels.find(({ name }) => name === queued.channel);
    if (channel === undefined) return new PostError("the channel is no longer configured", true);
    const signal = AbortSignal.any([
      this.#stop.signal,
      AbortSignal.timeout(NOTIFY_LIMITS.attempt_ms),
    ]);
    try {
      const status = await this.#on.post({
        url: channel.url,
        headers: headersFor(channel, queued.body, this.#on.clock.now_ms()),
        body: queued.body,
        allow_private: channel.allow_private,
        signal,
      });
      return failureOf(status);
    } catch (error) {
      return error instanceof PostError ? error : new PostError("the delivery failed", false);
    }
  }

  /** Full jitter: anything up to the doubled pause, so that many gateways do not come at once. */
  #pause_ms(attempts: number): number {
    const { backoff_first_ms, backoff_ms } = NOTIFY_LIMITS;
    const longest_ms = Math.min(backoff_ms, backoff_first_ms * 2 ** (attempts - 1));
    const [high = 0, low = 0] = this.#on.random(2);
    return Math.floor(longest_ms * (high * 256 + low) / 65_536) + 1;
  }

  async #forget({ key }: Queued): Promise<void> {
    this.#queue.delete(key);
    await this.#on.store.commit([{ kind: "delete_record", collection: COLLECTION, key }])
      .catch(() => this.#on.counters.add("notifications_not_stored"));
  }
}

/** What a status means; `undefined` for a delivery. */
function failureOf(status: number): PostError | undefined {
  if (status >= 200 && status < 300) return undefined;
  if (status >= 300 && status < 400) {
    return new PostError(`answered with redirect \`${status}\`, which is not followed`, true);
  }
  const again = status >= 500 || status === 408 || status === 425 || status === 429;
  return new PostError(`answered \`${status}\``, !again);
}

function writeQueued({ key: _key, ...queued }: Queued): string {
  return JSON.stringify({ form: FORM, ...queued });
}

function readQueued(key: string, text: string): Queued | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof value !== "object" || value === null) return undefined;
  const members = new Map<string, unknown>(Object.entries(value));
  const channel = members.get("channel");
  const event_type = members.get("event_type");
  const body = members.get("body");
  const attempts = members.get("attempts");
  const next_at_ms = members.get("next_at_ms");
  const readable = members.get("form") === FORM && (channel === "webhook" || channel === "slack") &&
    typeof event_type === "string" && typeof body === "string" &&
    typeof attempts === "number" && Number.isInteger(attempts) && attempts >= 0 &&
    attempts < NOTIFY_LIMITS.attempts && typeof next_at_ms === "number" &&
    Number.isFinite(next_at_ms);
  if (!readable) return undefined;
  return { key, channel, event_type, body, attempts, next_at_ms };
}
