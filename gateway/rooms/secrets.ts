/**
 * The room of secrets: the vault, one-call credentials, and the decisions that dispatches ride on.
 *
 * @module
 */
import { SecretAdminService } from "../../proto/gen/assembly/admin/v1/secrets_pb.ts";
import { SecretsService } from "../../proto/gen/assembly/secrets/v1/secrets_pb.ts";
import { clean } from "../engine/evidence.ts";
import { governanceEntry } from "../engine/governance.ts";
import type { OperationsPart } from "../engine/parts.ts";
import { AllowedCalls } from "../secrets/allowed_calls.ts";
import { openKeySource } from "../secrets/key_source.ts";
import { OneCallCredentials } from "../secrets/one_call.ts";
import { Vault } from "../secrets/vault.ts";
import { secretAdminHandlers } from "../services/secret_admin.ts";
import { secretsHandlers } from "../services/secrets.ts";
import type { House, Room } from "./room.ts";

/** What the room needs of the house. */
export type SecretsHouse =
  & Pick<
    House,
    "store" | "audit" | "registry" | "operators" | "counters" | "clock" | "policy" | "engine"
  >
  & { readonly config: Pick<House["config"], "secrets_key"> };

/** The open room. */
export interface SecretsRoom extends Room {
  readonly vault: Vault;
  /** Forgets one-call credentials that ended long ago. */
  tick(now_ms: number): Promise<void>;
}

/** Time between two looks for one-call credentials to forget. */
const SWEEP_INTERVAL_MS = 60_000;

/**
 * Reads the key source and the sealed records.
 *
 * @param operations Whose orders a dispatch obeys.
 * @throws {KeySourceError} when a key is configured and cannot be read.
 */
export async function openSecrets(
  house: SecretsHouse,
  operations: Pick<OperationsPart, "denial">,
): Promise<SecretsRoom> {
  const { store, audit, clock, policy } = house;
  const record = async (action: string, facts: Readonly<Record<string, unknown>>) => {
    const plain = Object.entries(facts).map(([key, value]) =>
      [key, typeof value === "string" ? clean(value) : value] as const
    );
    return (await audit.append(governanceEntry(action, Object.fromEntries(plain), clock))).seq;
  };
  const common = { store, record, now_ms: clock.now_ms };
  const vault = await Vault.open({
    ...common,
    keys: await openKeySource(house.config.secrets_key),
  });
  const one_call = await OneCallCredentials.open(common);
  const allowed = new AllowedCalls(() => policy.current.epoch);
  const tick = (now_ms: number) => one_call.tick(now_ms);
  const timer = setInterval(
    () =>
      tick(clock.now_ms()).catch(() => {
        // Tried again at the next look; nothing depends on the forgetting.
      }),
    SWEEP_INTERVAL_MS,
  );
  Deno.unrefTimer(timer);
  const on = { ...house, vault, one_call, allowed, operations };
  return {
    vault,
    tick,
    parts: {
      observers: [(answered) => {
        allowed.follow(answered);
        return undefined;
      }],
    },
    serve: (server) => {
      server.addService(SecretsService, secretsHandlers(on));
      server.addService(SecretAdminService, secretAdminHandlers(on));
      return [SecretsService.typeName];
    },
    components: () => {
      const { state, detail } = vault.state;
      const damaged = one_call.damaged === 0
        ? ""
        : `; ${one_call.damaged} one-call credential(s) cannot be read and redeem nothing`;
      return [{ name: "secrets", state: COMPONENT_STATES[state], detail: `${detail}${damaged}` }];
    },
    close: async () => {
      clearInterval(timer);
      await Promise.all([vault.close(), one_call.close()]);
    },
  };
}

const COMPONENT_STATES = {
  unconfigured: "unconfigured",
  wrong_key: "unavailable",
  damaged: "unavailable",
  rotating: "degraded",
  ready: "enforcing",
} as const;
