/**
 * What a gateway keeps: audit log, registry, operators; opened in that order, closed in reverse.
 *
 * @module
 */
import { SqliteStore } from "../storage/sqlite/store.ts";
import { AuditLog, type RecoveryReport } from "./audit/log.ts";
import type { Clock } from "./clock.ts";
import type { GatewayConfig } from "./config.ts";
import { clean } from "./engine/evidence.ts";
import { type Challenges, MemoryChallenges } from "./identity/challenges.ts";
import { Operators } from "./identity/operators.ts";
import { changeEntry } from "./registry/changes.ts";
import { Enrolments } from "./registry/enrolments.ts";
import type { TeamBudgetRemaining } from "./registry/context.ts";
import { Registry } from "./registry/registry.ts";

/** Everything durable, open. */
export interface OpenState {
  readonly audit: AuditLog;
  /** What start-up mended, in words; empty when nothing. */
  readonly recovery: string;
  readonly registry: Registry;
  readonly operators: Operators;
  readonly enrolments: Enrolments;
  readonly challenges: Challenges;
  readonly store: SqliteStore;
  /** Closes the log with a checkpoint, then the store. */
  close(): Promise<void>;
}

/** File that holds the first operator's token, inside the state directory. */
export const OPERATOR_TOKEN_FILE = "operator.token";
const FIRST_OPERATOR = "local";

/**
 * Opens or creates the state.
 *
 * @param teamBudgetRemaining From the ledger, for policies that ask. @default nobody knows
 * @throws {Error} with what failed and what to do next; nothing is left open then.
 */
export async function openState(
  config: GatewayConfig,
  clock: Clock,
  teamBudgetRemaining?: TeamBudgetRemaining,
): Promise<OpenState> {
  await makeDirectory(config.state_dir);
  await makeDirectory(config.audit_dir);
  const { log: audit, recovery } = await AuditLog.open({
    directory: config.audit_dir,
    signing_key_file: `${config.state_dir}/log-signing.pem`,
    checkpoint_interval_ms: config.checkpoint_interval_ms,
    now_ns: clock.now_ns,
  });
  let store: SqliteStore | undefined;
  try {
    store = await SqliteStore.open({ path: `${config.state_dir}/registry.db` });
    const registry = await Registry.open({
      store,
      now_ms: clock.now_ms,
      monotonic_ms: () => clock.monotonic_us() / 1_000,
      strict: config.strict_identity,
      orphan_mode: config.orphan_mode,
      ...(teamBudgetRemaining === undefined ? {} : { teamBudgetRemaining }),
      stale_agents: config.stale_agents,
      ...(config.agent_token_ttl_ms === undefined
        ? {}
        : { token_ttl_ms: config.agent_token_ttl_ms }),
      redact: clean,
      onChange: async (changes) => {
        const recorded = changes.map((change) => audit.append(changeEntry(change, clock.now_ns())));
        return (await Promise.all(recorded)).map((entry) => entry.seq);
      },
    });
    const operators = await Operators.open(store, clock.now_ms);
    if (operators.size === 0) await createFirstOperator(operators, config.state_dir);
    const enrolments = await Enrolments.open({
      store,
      clock,
      record: async (entry) => (await audit.append(entry)).seq,
    });
    return assembled({ audit, registry, operators, enrolments, store, recovery });
  } catch (error) {
    await store?.close();
    await audit.close();
    throw error;
  }
}

interface Opened {
  readonly audit: AuditLog;
  readonly registry: Registry;
  readonly operators: Operators;
  readonly enrolments: Enrolments;
  readonly store: SqliteStore;
  readonly recovery: RecoveryReport;
}

function assembled({ audit, registry, operators, enrolments, store, recovery }: Opened): OpenState {
  return {
    audit,
    registry,
    operators,
    enrolments,
    store,
    challenges: new MemoryChallenges(),
    recovery: describeRecovery(recovery),
    async close() {
      // Each is closed whatever became of the others; the first failure is the one reported.
      const results = await Promise.allSettled([registry.close()]);
      results.push(...await Promise.allSettled([store.close(), audit.close()]));
      const failed = results.find((result) => result.status === "rejected");
      if (failed !== undefined) throw failed.reason;
    },
  };
}

/** The state directory holds keys and tokens: nobody else may look inside. */
async function makeDirectory(path: string): Promise<void> {
  try {
    await Deno.mkdir(path, { mode: 0o700 });
  } catch (error) {
    if (error instanceof Deno.errors.AlreadyExists) return;
    const cause = error instanceof Error ? error.message : String(error);
    throw new Error(
      `cannot create directory \`${path}\`: ${cause}; create it, or name another with --state-dir or --audit-dir`,
      { cause: error },
    );
  }
}

/**
 * The first start creates one operator, an owner, so that the person who can read the
 * state directory can use `aasm`. The token is written once; the store keeps only its hash.
 */
async function createFirstOperator(operators: Operators, state_dir: string): Promise<void> {
  const path = `${state_dir}/${OPERATOR_TOKEN_FILE}`;
  const token = await operators.create({
    name: FIRST_OPERATOR,
    role: "owner",
    created_by: "gateway",
  });
  try {
    // A stale file of an earlier registry may be left over; a symlink must not be followed.
    await Deno.remove(path).catch(() => {});
    await Deno.writeTextFile(path, `${token}\n`, { createNew: true, mode: 0o600 });
  } catch (error) {
    await operators.forget(FIRST_OPERATOR);
    throw error;
  }
}

function describeRecovery(report: RecoveryReport): string {
  const parts: string[] = [];
  if (report.torn !== undefined) {
    const { length_bytes, offset_bytes, saved_as } = report.torn;
    parts.push(
      `an interrupted write of ${length_bytes} bytes at byte ${offset_bytes} was cut and saved as ${saved_as}`,
    );
  }
  if (report.rebuilt && report.entries > 0n) parts.push("the Merkle tree was rebuilt from the log");
  return parts.join("; ");
}
