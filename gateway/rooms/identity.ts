/**
 * The room of agents' credentials: rotation, revocation, kill, enrolments. Who may register without
 * an operator's word, and who may act though it has gone silent, is told in the status.
 *
 * @module
 */
import { IdentityService } from "../../proto/gen/assembly/admin/v1/identity_pb.ts";
import type { GatewayConfig } from "../config.ts";
import { identityHandlers } from "../services/identity.ts";
import type { ComponentState, House, Room } from "./room.ts";

/** What the room stands on. */
export type IdentityHouse = Pick<
  House,
  "config" | "clock" | "registry" | "operators" | "enrolments" | "challenges" | "counters"
>;

/** Opens it; the enrolments are open already, because registration stands on them. */
export function openIdentity(house: IdentityHouse): Room {
  return {
    serve(server) {
      server.addService(IdentityService, identityHandlers(house));
      return [];
    },
    components: () => [enrolmentState(house), silenceState(house.config)],
    close: () => Promise.resolve(),
  };
}

function enrolmentState({ config, enrolments }: IdentityHouse): ComponentState {
  const live = enrolments.list().filter(({ state }) => state === "live").length;
  return config.require_enrolment
    ? {
      name: "enrolment",
      state: "enforcing",
      detail: `only enrolled agents register; ${live} enrolment(s) can be used`,
    }
    : {
      name: "enrolment",
      state: "permissive",
      detail: "agents may say their own organisation and team, and are marked `asserted`; start " +
        `with --require-enrolment to refuse that; ${live} enrolment(s) can be used`,
    };
}

function silenceState({ stale_agents }: GatewayConfig): ComponentState {
  return stale_agents === "deny"
    ? { name: "stale agents", state: "enforcing", detail: "an agent that went silent is denied" }
    : {
      name: "stale agents",
      state: "permissive",
      detail: "an agent that went silent may still act: --stale-agents allow",
    };
}
