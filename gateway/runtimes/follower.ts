/**
 * One attached runtime: what it was sent, what it has acknowledged, and until when it may decide.
 *
 * @module
 */
import { toBinary } from "@bufbuild/protobuf";
import {
  type RuntimePolicy,
  type RuntimePrincipal,
  RuntimePrincipalSchema,
} from "../../proto/gen/assembly/admin/v1/runtime_pb.ts";
import { BoundedFeed } from "../bounded_feed.ts";
import { RUNTIME_ROOM_LIMITS } from "./limits.ts";

/** An order as a runtime is told of it. */
export interface ToldOrder {
  readonly op_id: string;
  readonly signal: string;
}

/** What a runtime is to know. */
export interface FollowedState {
  /** Present only when it is another than was sent before. */
  readonly policy?: RuntimePolicy;
  readonly principal: RuntimePrincipal;
  readonly orders: readonly ToldOrder[];
  /** Why nothing may be decided there; empty when it may. */
  readonly suspended: string;
}

/** One event for a runtime. */
export type FollowNews =
  | { readonly kind: "snapshot"; readonly epoch: number; readonly state: FollowedState }
  | { readonly kind: "pong"; readonly number: bigint; readonly now_ms: number };

/** Why a stream ended. */
export type FollowEnd = "cancelled" | "lagging" | "replaced" | "credential" | "stopped";

/** Who follows. */
export interface Following {
  readonly agent_key: string;
  readonly agent_id: string;
  readonly runtime_id: string;
  readonly version: string;
  /** The credential it came with. */
  readonly token: string;
  readonly attached_ms: number;
}

/** An attached runtime, for one reader. */
export class Follower extends BoundedFeed<FollowNews, FollowEnd> {
  readonly #left: (follower: Follower) => void;
  #sent = "";
  #sent_policy = "";
  /** Epoch of the newest snapshot that was put on the stream. */
  epoch_sent = 0;
  /** Newest epoch that the runtime says is in force there. */
  epoch_acknowledged = 0;
  /** Monotonic milliseconds until which the runtime may be deciding. */
  deciding_until_ms: number;

  constructor(
    readonly who: Following,
    now_monotonic_ms: number,
    left: (follower: Follower) => void,
  ) {
    super(RUNTIME_ROOM_LIMITS.queued_events);
    this.#left = left;
    this.deciding_until_ms = now_monotonic_ms;
  }

  protected override gone(): void {
    // A snapshot that waited behind others may be old by now, and there will be no newer one.
    if (this.ended === "lagging") this.forget();
    this.#left(this);
  }

  /** Digest of the policy it was sent last. */
  get policy_digest(): string {
    return this.#sent_policy;
  }

  /**
   * Puts a snapshot on the stream, unless it says nothing new.
   *
   * @returns Whether one was sent.
   */
  tell(state: FollowedState, nextEpoch: () => number): boolean {
    const orders = state.orders.map((order) => `${order.op_id}\0${order.signal}`).join("\n");
    const principal = toBinary(RuntimePrincipalSchema, state.principal).toHex();
    const said = `${principal}\n${state.suspended}\n${orders}`;
    if (state.policy === undefined && said === this.#sent) return false;
    this.#sent = said;
    if (state.policy !== undefined) this.#sent_policy = state.policy.digest;
    this.epoch_sent = nextEpoch();
    this.push({ kind: "snapshot", epoch: this.epoch_sent, state });
    return true;
  }

  /** Answers a ping, which carries the epoch in force at the runtime. */
  answer(number: bigint, epoch: bigint, now_ms: number, now_monotonic_ms: number): void {
    // What was never sent cannot be in force there.
    if (epoch <= BigInt(this.epoch_sent) && epoch > BigInt(this.epoch_acknowledged)) {
      this.epoch_acknowledged = Number(epoch);
    }
    const { authority_ms, authority_margin_ms } = RUNTIME_ROOM_LIMITS;
    this.deciding_until_ms = now_monotonic_ms + authority_ms + authority_margin_ms;
    this.push({ kind: "pong", number, now_ms });
  }

  /** Whether nothing older than what was sent is decided by there any more. */
  isCurrent(now_monotonic_ms: number): boolean {
    return this.epoch_acknowledged === this.epoch_sent || now_monotonic_ms > this.deciding_until_ms;
  }
}
