/**
 * The room of invalidation: the hub, what feeds it, and the interval that forgets who left.
 *
 * @module
 */
import { InvalidationService } from "../../proto/gen/assembly/gateway/v1/invalidation_pb.ts";
import { InvalidationHub } from "../invalidation/hub.ts";
import { INVALIDATION_LIMITS } from "../invalidation/limits.ts";
import { invalidationHandlers } from "../services/invalidation.ts";
import type { House, Room } from "./room.ts";

/** What the room needs of the house. */
export type InvalidationHouse = Pick<House, "policy" | "registry" | "counters" | "clock">;

/** The open room. */
export interface InvalidationRoom extends Room {
  /** Where other rooms announce: `policyInvalidated`, `approvalResolved`. */
  readonly hub: InvalidationHub;
  /** Forgets subscribers that have been away too long. */
  tick(now_ms: number): void;
}

/** Announces reloads from now on, and ends the streams of agents that leave. */
export function openInvalidation(house: InvalidationHouse): InvalidationRoom {
  const { policy, registry, counters, clock } = house;
  const hub = new InvalidationHub(clock.now_ms);
  const deaf = [
    policy.onReplaced((epoch) => hub.policyInvalidated("", epoch)),
    registry.onApplied(({ after }) => {
      if (after.state.status === "deregistered") hub.leave(after.key);
    }),
  ];
  const tick = (now_ms: number) => hub.tick(now_ms);
  const timer = setInterval(() => tick(clock.now_ms()), INVALIDATION_LIMITS.sweep_interval_ms);
  Deno.unrefTimer(timer);
  return {
    hub,
    tick,
    serve: (server) => {
      server.addService(InvalidationService, invalidationHandlers({ hub, registry, counters }));
      return [InvalidationService.typeName];
    },
    components: () => {
      const { subscribers, connected } = hub.status;
      const detail = `${connected} of ${subscribers} remembered subscriber(s) are connected`;
      return [{ name: "invalidation", state: "enforcing", detail }];
    },
    hush: () => hub.stop(),
    close: () => {
      clearInterval(timer);
      for (const stop of deaf) stop();
      hub.stop();
      return Promise.resolve();
    },
  };
}
