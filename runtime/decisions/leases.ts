/**
 * Calls that the gateway has set aside for this runtime. Each is used once; what is not used is said
 * when the lease ends. A lease is asked for only where calls of one kind come thick, because what it
 * takes of a rate limit stays taken.
 *
 * @module
 */
import { create } from "@bufbuild/protobuf";
import { type policy, runtime } from "../../proto/mod.ts";
import { DECISION_LIMITS } from "./limits.ts";

/** What leasing needs. */
export interface CallLeasesOptions {
  readonly monotonic_us: () => number;
  /** Sends one lease call. Rejects when it fails. */
  readonly send: (
    asks: readonly runtime.LeaseAsk[],
    returns: readonly runtime.LeaseReturn[],
  ) => Promise<readonly runtime.LeaseGrant[]>;
  /** Is told that the gateway contradicts itself. */
  readonly distrust: (why: string) => void;
}

interface HeldLease {
  readonly id: string;
  readonly calls: number;
  readonly until_us: number;
  used: number;
}

interface CallClass {
  readonly id: string;
  readonly sample: policy.ActionContext;
  readonly held: HeldLease[];
  asking: boolean;
  /** Calls to ask for next. */
  size: number;
  wanted: number;
  wanted_since_us: number;
  not_before_us: number;
}

interface Returning {
  readonly message: runtime.LeaseReturn;
  readonly not_before_us: number;
}

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

/** The leases of one runtime. */
export class CallLeases {
  readonly #on: CallLeasesOptions;
  /** In the order of their last use. */
  readonly #classes = new Map<string, CallClass>();
  readonly #returns: Returning[] = [];
  #generation = 0;
  #sending = false;

  constructor(options: CallLeasesOptions) {
    this.#on = options;
  }

  /** Calls that may still be used, of all kinds. */
  get left(): number {
    const now_us = this.#on.monotonic_us();
    let left = 0;
    for (const { held } of this.#classes.values()) {
      for (const lease of held) if (now_us < lease.until_us) left += lease.calls - lease.used;
    }
    return left;
  }

  /**
   * Uses one call.
   *
   * @returns Id of the lease that covers it; `undefined` when none does: the call is to be forwarded.
   */
  draw(class_id: string): string | undefined {
    const kind = this.#classes.get(class_id);
    if (kind === undefined) return undefined;
    const now_us = this.#on.monotonic_us();
    this.#drop(kind, (lease) => lease.used >= lease.calls || now_us >= lease.until_us, now_us);
    const lease = kind.held[0];
    if (lease === undefined) return undefined;
    lease.used++;
    const left = kind.held.reduce((sum, { calls, used }) => sum + calls - used, 0);
    if (left * 2 <= lease.calls && kind.held.length < 2) {
      kind.size = Math.min(kind.size * 4, DECISION_LIMITS.lease_most_calls);
      this.#ask(kind, now_us);
    }
    return lease.id;
  }

  /** Notes that a call of this kind had to be forwarded; asks for a lease once they come thick. */
  want(class_id: string, sample: () => policy.ActionContext): void {
    const now_us = this.#on.monotonic_us();
    const kind = this.#classOf(class_id, sample, now_us);
    const { lease_hot_window_ms, lease_hot_calls } = DECISION_LIMITS;
    if (now_us - kind.wanted_since_us > lease_hot_window_ms * 1_000) {
      kind.wanted = 0;
      kind.wanted_since_us = now_us;
    }
    kind.wanted++;
    if (kind.wanted >= lease_hot_calls) this.#ask(kind, now_us);
  }

  /** Something changed: every lease ends, and is given back. */
  reset(): void {
    this.#generation++;
    const now_us = this.#on.monotonic_us();
    for (const kind of this.#classes.values()) this.#drop(kind, () => true, now_us);
    this.#classes.clear();
  }

  /** The gateway is another, or gone: nobody knows these leases any more. */
  forget(): void {
    this.reset();
    this.#returns.length = 0;
  }

  /** Gives back what waited long enough. Called now and then. */
  tick(): void {
    const now_us = this.#on.monotonic_us();
    for (const kind of this.#classes.values()) {
      this.#drop(kind, (lease) => now_us >= lease.until_us, now_us);
    }
    this.#pump(now_us);
  }

  #classOf(
    class_id: string,
    sample: () => policy.ActionContext,
    now_us: number,
  ): CallClass {
    const known = this.#classes.get(class_id);
    if (known !== undefined) {
      this.#classes.delete(class_id);
      this.#classes.set(class_id, known);
      return known;
    }
    if (this.#classes.size >= DECISION_LIMITS.lease_classes) {
      for (const [oldest, kind] of this.#classes) {
        this.#drop(kind, () => true, now_us);
        this.#classes.delete(oldest);
        break;
      }
    }
    const made: CallClass = {
      id: class_id,
      sample: sample(),
      held: [],
      asking: false,
      size: DECISION_LIMITS.lease_first_calls,
      wanted: 0,
      wanted_since_us: now_us,
      not_before_us: -Infinity,
    };
    this.#classes.set(class_id, made);
    return made;
  }

  #ask(kind: CallClass, now_us: number): void {
    if (kind.asking || now_us < kind.not_before_us) return;
    kind.asking = true;
    this.#pump(now_us);
  }

  /** Ends leases of a kind and queues what is to be said of them. */
  #drop(kind: CallClass, over: (lease: HeldLease) => boolean, now_us: number): void {
    for (let at = kind.held.length - 1; at >= 0; at--) {
      const lease = kind.held[at];
      if (lease === undefined || !over(lease)) continue;
      kind.held.splice(at, 1);
      if (lease.used * 4 < lease.calls) kind.size = Math.max(8, Math.floor(kind.size / 2));
      this.#giveBack(lease.id, lease.used, now_us);
    }
  }

  #giveBack(leaseId: string, callsUsed: number, now_us: number): void {
    if (this.#returns.length >= DECISION_LIMITS.lease_returns) return;
    const message = create(runtime.LeaseReturnSchema, { leaseId, callsUsed });
    const wait_us = callsUsed === 0 ? 0 : DECISION_LIMITS.lease_return_after_ms * 1_000;
    this.#returns.push({ message, not_before_us: now_us + wait_us });
  }

  /** One call at a time; what comes meanwhile goes with the next. */
  #pump(now_us: number): void {
    if (this.#sending) return;
    const kinds = [...this.#classes.values()].filter((kind) => kind.asking).slice(0, 64);
    const ready = this.#returns.filter((one) => one.not_before_us <= now_us).slice(0, 256);
    if (kinds.length === 0 && ready.length === 0) return;
    this.#sending = true;
    for (const one of ready) this.#returns.splice(this.#returns.indexOf(one), 1);
    this.#send(kinds, ready, now_us).finally(() => {
      this.#sending = false;
      this.#pump(this.#on.monotonic_us());
    });
  }

  async #send(
    kinds: readonly CallClass[],
    returning: readonly Returning[],
    sent_us: number,
  ): Promise<void> {
    const generation = this.#generation;
    const asked = kinds.map((kind, at) =>
      create(runtime.LeaseAskSchema, {
        classId: String(at),
        sample: kind.sample,
        calls: kind.size,
      })
    );
    let grants: readonly runtime.LeaseGrant[];
    try {
      grants = await this.#on.send(asked, returning.map(({ message }) => message));
    } catch {
      // Nobody knows whether it arrived: saying it again changes nothing there.
      const now_us = this.#on.monotonic_us();
      const { lease_refused_pause_ms, lease_returns } = DECISION_LIMITS;
      const later_us = now_us + lease_refused_pause_ms * 1_000;
      for (const kind of kinds) {
        kind.asking = false;
        kind.not_before_us = later_us;
      }
      for (const { message } of returning) {
        if (this.#returns.length < lease_returns) {
          this.#returns.push({ message, not_before_us: later_us });
        }
      }
      return;
    }
    for (const [at, kind] of kinds.entries()) {
      kind.asking = false;
      this.#take(kind, asked[at]?.calls ?? 0, grants[at], sent_us, generation);
    }
    if (grants.length !== asked.length) this.#on.distrust("it answered a lease call with others");
  }

  #take(
    kind: CallClass,
    asked: number,
    grant: runtime.LeaseGrant | undefined,
    sent_us: number,
    generation: number,
  ): void {
    if (grant === undefined) return;
    const { leaseId: id, calls, lastsMs } = grant;
    const now_us = this.#on.monotonic_us();
    if (id === "") {
      kind.not_before_us = now_us + DECISION_LIMITS.lease_refused_pause_ms * 1_000;
      return;
    }
    if (!UUID.test(id) || calls < 1 || calls > asked) {
      this.#on.distrust("it leased more calls than it was asked for, or none");
      return;
    }
    if (generation !== this.#generation) {
      this.#giveBack(id, 0, now_us);
      return;
    }
    const lasts_ms = Math.min(lastsMs, DECISION_LIMITS.lease_lasts_max_ms);
    kind.held.push({ id, calls, until_us: sent_us + lasts_ms * 900, used: 0 });
  }
}
