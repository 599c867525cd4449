/**
 * Invalidation, put together: the hub, what feeds it, and the interval that forgets who left.
 *
 * @module
 */
import type { Clock } from "../clock.ts";
import type { PolicyStore } from "../engine/policy_store.ts";
import { InvalidationHub } from "../invalidation/hub.ts";
import { INVALIDATION_LIMITS } from "../invalidation/limits.ts";
import type { Registry } from "../registry/registry.ts";

/** What the room stands on. */
export interface InvalidationRoomOptions {
  readonly policy: Pick<PolicyStore, "onReplaced">;
  readonly registry: Pick<Registry, "onApplied">;
  readonly clock: Clock;
  /** Without it the one who drives the room calls `tick`. */
  readonly interval?: boolean;
}

/** The room, open. */
export interface InvalidationRoom {
  readonly hub: InvalidationHub;
  tick(now_ms: number): void;
  close(): void;
}

/** Announces reloads from now on, and ends the streams of agents that leave. */
export function openInvalidation(options: InvalidationRoomOptions): InvalidationRoom {
  const { policy, registry, clock } = options;
  const hub = new InvalidationHub(clock.now_ms);
  const deaf = [
    policy.onReplaced((epoch) => hub.policyInvalidated("", epoch)),
    registry.onApplied(({ after }) => {
      if (after.state.status === "deregistered") hub.leave(after.key);
    }),
  ];
  const timer = options.interval === false ? undefined : setInterval(
    () => hub.tick(clock.now_ms()),
    INVALIDATION_LIMITS.sweep_interval_ms,
  );
  return {
    hub,
    tick: (now_ms) => hub.tick(now_ms),
    close: () => {
      clearInterval(timer);
      for (const stop of deaf) stop();
      hub.stop();
    },
  };
}
