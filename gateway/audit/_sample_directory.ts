/**
 * A fresh audit directory and drafts for it, for tests.
 *
 * @module
 */
import { type EntryDraft, hash16 } from "../../core/audit/entry.ts";
import { AuditLog, type AuditLogOptions, type RecoveryReport } from "./log.ts";

/** Where a test's log lives; gone when the test ends. */
export class SampleDirectory {
  readonly root = Deno.makeTempDirSync({ prefix: "audit-" });
  readonly directory = `${this.root}/audit`;
  readonly key = `${this.root}/keys/audit.pem`;
  readonly file = `${this.directory}/gateway-default.jsonl`;

  /** Opens the log of this directory. */
  open(
    options: Partial<AuditLogOptions> = {},
  ): Promise<{ log: AuditLog; recovery: RecoveryReport }> {
    return AuditLog.open({
      directory: this.directory,
      signing_key_file: this.key,
      checkpoint_interval_ms: 3_600_000,
      tree_thread: false,
      ...options,
    });
  }

  /** Opens, appends `count` entries, closes; gives the verifier key. */
  async fill(count: number, first = 0): Promise<string> {
    const { log } = await this.open();
    await Promise.all(Array.from({ length: count }, (_, i) => log.append(draft(first + i))));
    await log.close();
    return log.status().verifier_key;
  }

  lines(): string[] {
    return Deno.readTextFileSync(this.file).split("\n").slice(0, -1);
  }

  write(lines: readonly string[]): void {
    Deno.writeTextFileSync(this.file, lines.map((line) => `${line}\n`).join(""));
  }

  [Symbol.dispose](): void {
    Deno.removeSync(this.root, { recursive: true });
  }
}

/** A small draft, different for each number. */
export function draft(i: number, more: Partial<EntryDraft> = {}): EntryDraft {
  return {
    event_type: i % 3 === 0 ? "PolicyViolation" : "ToolCallIntercepted",
    timestamp_ns: 1_714_222_134_000_000_000n + BigInt(i),
    agent_id: hash16(`agent-${i % 4}`),
    session_id: hash16(`trace-${i}`),
    payload: JSON.stringify({ reason: `step ${i}` }),
    ...(i % 2 === 0 ? { org_id: "acme", team_id: "ops" } : {}),
    ...more,
  };
}
