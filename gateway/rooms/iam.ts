/**
 * The room of operators and their API keys.
 *
 * @module
 */
import { IamService } from "../../proto/gen/assembly/admin/v1/iam_pb.ts";
import { ApiKeys } from "../iam/api_keys.ts";
import { IAM_LIMITS } from "../iam/limits.ts";
import { iamHandlers } from "../services/iam.ts";
import type { House, Room } from "./room.ts";

/** What the room needs of the house. */
export type IamHouse = Pick<House, "store" | "operators" | "audit" | "counters" | "clock">;

/** The open room. */
export interface IamRoom extends Room {
  readonly keys: ApiKeys;
  /** Writes down which keys were used since the last time. */
  tick(): Promise<void>;
}

/**
 * Loads the keys and lets them sign in.
 *
 * @throws {StoreError} when the store cannot be read.
 */
export async function openIam(house: IamHouse): Promise<IamRoom> {
  const { store, operators, clock } = house;
  const keys = await ApiKeys.open(store, operators, clock.now_ms);
  operators.useKeys(keys);
  const tick = () => keys.flush();
  const timer = setInterval(tick, IAM_LIMITS.flush_ms);
  Deno.unrefTimer(timer);
  return {
    keys,
    tick,
    serve: (server) => {
      server.addService(IamService, iamHandlers({ ...house, keys }));
      return [];
    },
    components: () => [{
      name: "api_keys",
      state: keys.damaged.size === 0 ? "enforcing" : "degraded",
      detail: keys.damaged.size === 0
        ? "operators and their keys sign in"
        : `${keys.damaged.size} key records cannot be read and sign nobody in: list them with ` +
          "`aasm iam keys list`, then revoke them",
    }],
    close: async () => {
      clearInterval(timer);
      await tick();
    },
  };
}
