/**
 * The room of policy changes: history, proposals, bundles.
 *
 * @module
 */
import { PolicyAdminService } from "../../proto/gen/assembly/admin/v1/policy_admin_pb.ts";
import { Bundles, readSigners } from "../policy/bundles.ts";
import { PolicyChanges } from "../policy/changes.ts";
import { Proposals } from "../policy/proposals.ts";
import { policyAdminHandlers } from "../services/policy_admin.ts";
import type { ComponentState, House, Room } from "./room.ts";

/** What the room needs of the house. */
export type PolicyAdminHouse =
  & Pick<
    House,
    | "store"
    | "audit"
    | "registry"
    | "operators"
    | "policy"
    | "policy_history"
    | "counters"
    | "clock"
  >
  & { readonly config: Pick<House["config"], "four_eyes_policy" | "policy_signers"> };

/** The open room. */
export interface PolicyAdminRoom extends Room {
  readonly proposals: Proposals;
  readonly changes: PolicyChanges;
}

/**
 * Loads the proposals and the trusted signers.
 *
 * @throws {StoreError} when the store cannot be read.
 * @throws {Error} when the file of signers cannot be used.
 */
export async function openPolicyAdmin(house: PolicyAdminHouse): Promise<PolicyAdminRoom> {
  const { store, audit, clock, config, policy_history: history } = house;
  const proposals = await Proposals.open(store, clock.now_ms);
  const four_eyes = config.four_eyes_policy ?? false;
  const changes = new PolicyChanges({ ...house, history, proposals, four_eyes });
  const bundles = new Bundles({
    history,
    sign: (text) => audit.signNote(text),
    own_key: audit.status().verifier_key,
    signers: await readSigners(config.policy_signers),
  });
  return {
    proposals,
    changes,
    serve: (server) => {
      server.addService(
        PolicyAdminService,
        policyAdminHandlers({ ...house, history, proposals, changes, bundles }),
      );
      return [];
    },
    components: () => [historyState(history, four_eyes), ...proposalState(proposals, four_eyes)],
    close: () => Promise.resolve(),
  };
}

function historyState(
  { damaged, newest }: House["policy_history"],
  four_eyes: boolean,
): ComponentState {
  if (damaged.size > 0) {
    const numbers = [...damaged.keys()].join(", ");
    return {
      name: "policy_history",
      state: "degraded",
      detail: `versions ${numbers} cannot be read and cannot be returned to`,
    };
  }
  const version = newest === undefined ? "no version yet" : `version ${newest.version}`;
  return {
    name: "policy_history",
    state: "enforcing",
    detail: `${version}; changes take ${four_eyes ? "two people" : "one person"}`,
  };
}

function proposalState(proposals: Proposals, four_eyes: boolean): ComponentState[] {
  if (!four_eyes && proposals.damaged.size === 0) return [];
  const { size } = proposals.damaged;
  return [{
    name: "policy_proposals",
    state: size === 0 ? "enforcing" : "degraded",
    detail: size === 0
      ? "a change waits for another operator to confirm it"
      : `${size} proposals cannot be read and can only be rejected`,
  }];
}
