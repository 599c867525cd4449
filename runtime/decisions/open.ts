/**
 * The room put together: who follows, who listens, who decides, and how it stands.
 *
 * @module
 */
import { create } from "@bufbuild/protobuf";
import { event, runtime } from "../../proto/mod.ts";
import type { ClientMessages, MetricsPart, PipelinePart, SpoolPart, SpoolSink } from "../parts.ts";
import type { Timers } from "../timers.ts";
import { Decisions } from "./decisions.ts";
import type { LocalPolicy } from "./fallback.ts";
import { Follower, type FollowState } from "./follower.ts";
import type { GatewayPart } from "./gateway_client.ts";
import { Halts, type Signal } from "./halts.ts";
import { CallLeases } from "./leases.ts";
import { GatewaySink } from "./sink.ts";
import type { AgentName, Snapshot } from "./snapshot.ts";
import { listenToInvalidations, listenToOrders } from "./streams.ts";

/** What the room is opened with. */
export interface OpenDecisionsOptions {
  /** The agent this runtime is for. */
  readonly name: AgentName;
  /**
   * Its credential token, where the operator hands it over. Without one the runtime learns it from
   * the first query that the gateway answers as this agent's; until then everything is forwarded.
   */
  readonly credential_token?: string;
  readonly version: string;
  readonly gateway?: {
    readonly part: GatewayPart;
    /** @see AA_GATEWAY_TIMEOUT_MS */
    readonly timeout_ms: number;
    readonly fail_closed: boolean;
    /** `false`: every query is forwarded. @default true */
    readonly decide_locally?: boolean;
  };
  readonly local_policy: LocalPolicy;
  readonly spool: Pick<SpoolPart, "append" | "id">;
  readonly pipeline: PipelinePart;
  readonly messages: ClientMessages;
  readonly metrics: MetricsPart;
  readonly timers: Timers;
  /** Makes UUIDs. @default random ones */
  readonly newId?: () => string;
}

/** How the room stands. */
export interface DecisionsStatus {
  /** `no_gateway`, or how following stands. */
  readonly following: FollowState | { readonly state: "no_gateway" };
  /** Whether queries may be decided here now. */
  readonly decides_locally: boolean;
  readonly policy_digest: string;
  readonly local_policy: LocalPolicy["state"];
  readonly orders: number;
  readonly leased_calls: number;
  readonly approvals: number;
}

/** The open room. */
export interface OpenDecisions extends AsyncDisposable {
  readonly decisions: Decisions;
  /** Where the spool is emptied into; absent without a gateway. */
  readonly sink: SpoolSink | undefined;
  /** Gives an order at this runtime itself (trap R12): `*`, `agent:<id>` or `<trace>:<span>`. */
  readonly order: (op_id: string, signal: Signal) => void;
  readonly status: () => DecisionsStatus;
}

/** Time between two looks at leases and streams, in milliseconds. */
export const ROOM_TICK_MS = 500;

/** Opens the room; it connects by itself, and goes on trying. */
export function openDecisions(options: OpenDecisionsOptions): OpenDecisions {
  const { name, timers, metrics, gateway, local_policy, messages } = options;
  const newId = options.newId ?? (() => crypto.randomUUID());
  const stop = new AbortController();
  const halts = new Halts(name.agent_id);
  const running: Promise<void>[] = [];
  const linked = gateway === undefined ? undefined : link(options, halts, newId(), () => decisions);
  const decisions: Decisions = new Decisions(
    {
      ...options,
      credential_given: options.credential_token !== undefined,
      halts,
      newId,
      stopping: stop.signal,
      ...(gateway === undefined || linked === undefined ? {} : {
        gateway: {
          part: gateway.part,
          follower: linked.follower,
          leases: linked.leases,
          timeout_ms: gateway.timeout_ms,
          fail_closed: gateway.fail_closed,
        },
      }),
    } as ConstructorParameters<typeof Decisions>[0],
  );
  if (gateway !== undefined && linked !== undefined) {
    const { follower, leases } = linked;
    if (options.credential_token !== undefined) follower.useToken(options.credential_token);
    const streams = {
      ...{ gateway: gateway.part, timers, metrics },
      name: () => follower.name,
      token: () => follower.token,
      newToken: () => follower.newToken,
    };
    if (gateway.decide_locally !== false) running.push(follower.run(stop.signal));
    running.push(
      listenToInvalidations(streams, options.spool.id === "" ? newId() : options.spool.id, {
        onInvalidated: () => decisions.changed(),
        onApproval: (approval_id, approved) =>
          tellDecided(decisions, messages, timers, approval_id, approved),
      }, stop.signal),
      whileNotOffered(
        follower,
        timers,
        stop.signal,
        gateway.decide_locally === false,
        (until) => listenToOrders(streams, halts, until),
      ),
      ticking(leases, timers, stop.signal),
    );
  }
  const sink = gateway === undefined || linked === undefined ? undefined : new GatewaySink({
    gateway: gateway.part,
    name: () => linked.follower.name,
    token: () => linked.follower.token,
  });
  return {
    decisions,
    sink,
    order: (op_id, signal) => halts.apply("local", op_id, signal),
    status: () => ({
      following: linked?.follower.state ?? { state: "no_gateway" },
      decides_locally: linked?.follower.inForce !== undefined,
      policy_digest: linked?.follower.inForce?.policy_digest ?? "",
      local_policy: local_policy.state,
      orders: halts.size,
      leased_calls: linked?.leases.left ?? 0,
      approvals: decisions.approvals.size,
    }),
    [Symbol.asyncDispose]: async () => {
      stop.abort();
      await Promise.all(running);
    },
  };
}

interface Linked {
  readonly follower: Follower;
  readonly leases: CallLeases;
}

function link(
  { name, version, timers, gateway }: OpenDecisionsOptions,
  halts: Halts,
  runtime_id: string,
  decisions: () => Decisions,
): Linked | undefined {
  if (gateway === undefined) return undefined;
  let known = "";
  const changed = (snapshot?: Snapshot) => {
    if (snapshot !== undefined && snapshot.gateway_id !== known) {
      known = snapshot.gateway_id;
      leases.forget();
    } else leases.reset();
    if (snapshot !== undefined) halts.replace(snapshot.orders);
    decisions().changed();
  };
  const follower: Follower = new Follower({
    ...{ gateway: gateway.part, name, runtime_id, version, timers },
    onChange: changed,
  });
  const leases: CallLeases = new CallLeases({
    monotonic_us: timers.monotonic_us,
    distrust: (why) => follower.distrust(why),
    send: async (asks, returns) => {
      const snapshot = follower.inForce;
      if (snapshot === undefined) throw new Error("nothing is followed");
      const request = create(runtime.LeaseRequestSchema, {
        runtimeId: runtime_id,
        gatewayId: snapshot.gateway_id,
        epoch: BigInt(snapshot.epoch),
        asks: [...asks],
        returns: [...returns],
      });
      return (await gateway.part.lease(request, follower.token, gateway.timeout_ms)).grants;
    },
  });
  return { follower, leases };
}

/** Wakes whoever asked; what holds is the answer to asking again. */
function tellDecided(
  decisions: Decisions,
  messages: ClientMessages,
  timers: Timers,
  approvalId: string,
  approved: boolean,
): void {
  for (const connection of decisions.approvals.decided(approvalId)) {
    messages.approvalDecided(
      connection,
      create(event.ApprovalDecisionSchema, {
        approvalId,
        approved,
        decidedAtUnixMs: BigInt(Math.trunc(timers.now_ms())),
      }),
    );
  }
}

async function ticking(leases: CallLeases, timers: Timers, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    await timers.sleep(ROOM_TICK_MS, signal);
    leases.tick();
  }
}

/** Runs a stream as long as the gateway offers nothing better. */
async function whileNotOffered(
  follower: Follower,
  timers: Timers,
  signal: AbortSignal,
  always: boolean,
  run: (until: AbortSignal) => Promise<void>,
): Promise<void> {
  const needed = () => always || follower.state.state === "not_offered";
  while (!signal.aborted) {
    if (needed()) {
      const over = new AbortController();
      const stream = run(AbortSignal.any([signal, over.signal]));
      while (needed() && !signal.aborted) await timers.sleep(ROOM_TICK_MS, signal);
      over.abort();
      await stream;
    } else await timers.sleep(ROOM_TICK_MS, signal);
  }
}
