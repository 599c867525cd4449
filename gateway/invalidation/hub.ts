/**
 * Tells runtimes what they may no longer believe: changed policies, decided approvals
 * (contract `wire` §1.8, `policy-and-gateway` §12).
 *
 * @module
 */
import { INVALIDATION_LIMITS } from "./limits.ts";
import { type Announcement, type InvalidationStream, Subscriber } from "./subscriber.ts";

/** Who subscribes; everything but `assembly_id` comes from the registry. */
export interface Subscribing {
  readonly org_id: string;
  readonly team_id: string;
  /** Registry key of the caller. */
  readonly agent_key: string;
  readonly assembly_id: string;
}

/** Whose approval it was. Both empty: everybody is told. */
export interface Tenant {
  readonly org_id: string;
  readonly team_id: string;
}

/** One more subscriber than may be remembered. */
export class TooManySubscribers extends Error {
  override readonly name = "TooManySubscribers";
}

/** What the hub has done, for status. */
export interface InvalidationStatus {
  readonly subscribers: number;
  readonly connected: number;
  readonly announced: number;
  readonly expired: number;
}

/** The subscribers of one gateway. Memory only: whoever outlives a restart must resync. */
export class InvalidationHub {
  readonly #subscribers = new Map<string, Subscriber>();
  readonly #tenant_sizes = new Map<string, number>();
  readonly #now_ms: () => number;
  #announced = 0;
  #expired = 0;

  constructor(now_ms: () => number) {
    this.#now_ms = now_ms;
  }

  /** Counts, for status. */
  get status(): InvalidationStatus {
    const subscribers = [...this.#subscribers.values()];
    return {
      subscribers: subscribers.length,
      connected: subscribers.filter((one) => one.connected).length,
      announced: this.#announced,
      expired: this.#expired,
    };
  }

  /**
   * Announces that cached decisions of an agent, or with an empty id of every agent, no longer hold.
   * Everybody is told.
   */
  policyInvalidated(agent_id: string, version: number | bigint): void {
    this.#announce({ kind: "policy_invalidated", agent_id, version: BigInt(version) }, undefined);
  }

  /**
   * Announces that an approval is decided. A request that timed out is denied, and announced as that
   * (trap 59). Told to the request's tenant, or to everybody when it has none.
   */
  approvalResolved(
    request_id: string,
    outcome: "approved" | "denied" | "timed_out",
    tenant: Tenant,
  ): void {
    const decision = outcome === "approved" ? "approved" : "denied";
    const everybody = tenant.org_id === "" && tenant.team_id === "";
    this.#announce(
      { kind: "approval_resolved", request_id, decision },
      everybody ? undefined : tenantKey(tenant),
    );
  }

  /**
   * Opens a stream.
   *
   * @throws {ResyncNeeded} when what was missed is lost.
   * @throws {TooManySubscribers} when one more cannot be remembered.
   */
  subscribe(
    who: Subscribing,
    last_seq_seen: bigint,
    signal: AbortSignal,
  ): { readonly stream: InvalidationStream; readonly acknowledge: (seq: bigint) => void } {
    const subscriber = this.#subscriberOf(who);
    const stream = subscriber.open(last_seq_seen, who.agent_key, () => {
      subscriber.disconnected_ms = this.#now_ms();
    });
    const cancel = () => stream.end("cancelled");
    if (signal.aborted) cancel();
    else signal.addEventListener("abort", cancel, { once: true });
    return {
      stream,
      // A stream that was replaced has no more say.
      acknowledge: (seq) => {
        if (stream.ended === undefined) subscriber.acknowledge(seq);
      },
    };
  }

  /** Ends the streams that an agent opened: it is registered no more. */
  leave(agent_key: string): void {
    for (const subscriber of this.#subscribers.values()) {
      subscriber.disconnect("unregistered", agent_key);
    }
  }

  /** Forgets subscribers that have been away too long (trap 59). */
  tick(now_ms: number): void {
    for (const [key, subscriber] of this.#subscribers) {
      if (subscriber.connected) continue;
      // A clock set back starts the wait again instead of stretching it without end.
      subscriber.disconnected_ms = Math.min(subscriber.disconnected_ms, now_ms);
      const away_ms = now_ms - subscriber.disconnected_ms;
      if (away_ms < INVALIDATION_LIMITS.disconnected_kept_ms) continue;
      this.#subscribers.delete(key);
      this.#resize(subscriber.tenant, -1);
      this.#expired++;
    }
  }

  /** Ends every stream: the gateway stops. */
  stop(): void {
    for (const subscriber of this.#subscribers.values()) subscriber.disconnect("stopped");
  }

  #subscriberOf(who: Subscribing): Subscriber {
    const tenant = tenantKey(who);
    const key = JSON.stringify([tenant, who.assembly_id]);
    const known = this.#subscribers.get(key);
    if (known !== undefined) return known;
    const of_tenant = this.#tenant_sizes.get(tenant) ?? 0;
    if (
      this.#subscribers.size >= INVALIDATION_LIMITS.subscribers ||
      of_tenant >= INVALIDATION_LIMITS.subscribers_per_tenant
    ) {
      throw new TooManySubscribers(
        "too many subscribers are remembered: those that are gone are forgotten after a while; " +
          "use one assembly_id a runtime, and the same at every start",
      );
    }
    const subscriber = new Subscriber(tenant, this.#now_ms());
    this.#subscribers.set(key, subscriber);
    this.#resize(tenant, 1);
    return subscriber;
  }

  #announce(event: Announcement, tenant: string | undefined): void {
    this.#announced++;
    for (const subscriber of this.#subscribers.values()) {
      if (tenant === undefined || subscriber.tenant === tenant) subscriber.announce(event);
    }
  }

  #resize(tenant: string, by: number): void {
    const size = (this.#tenant_sizes.get(tenant) ?? 0) + by;
    if (size === 0) this.#tenant_sizes.delete(tenant);
    else this.#tenant_sizes.set(tenant, size);
  }
}

function tenantKey({ org_id, team_id }: Tenant): string {
  return JSON.stringify([org_id, team_id]);
}
