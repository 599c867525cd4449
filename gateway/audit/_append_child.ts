/**
 * A process that appends to a log as fast as it can, for tests that kill it or break its disk:
 * `deno run _append_child.ts <root> <writers> <checkpoint_interval_ms>`. Prints `open <entries>`, then one line
 * an acknowledgement: `ack <seq> <hash>`, or `refused <reason>`.
 *
 * @module
 */
import { draft } from "./_sample_directory.ts";
import { AuditLog } from "./log.ts";

const [root = "", writers = "1", interval = "5"] = Deno.args;
const encoder = new TextEncoder();

/** One whole write a line: what the parent reads was acknowledged. */
function say(text: string): void {
  Deno.stdout.writeSync(encoder.encode(`${text}\n`));
}

try {
  const { log, recovery } = await AuditLog.open({
    directory: `${root}/audit`,
    signing_key_file: `${root}/keys/audit.pem`,
    checkpoint_interval_ms: Number(interval),
    probe_interval_ms: 0,
  });
  say(`open ${recovery.entries}`);
  const first = Number(log.status().entries);
  let refused = 0;
  await Promise.all(Array.from({ length: Number(writers) }, async (_, writer) => {
    for (let i = 0; refused < 5; i++) {
      try {
        const { seq, entry_hash } = await log.append(draft(first + writer * 1_000_000 + i));
        say(`ack ${seq} ${entry_hash.toHex()}`);
      } catch (error) {
        refused++;
        say(`refused ${error instanceof Error ? error.message : error}`);
      }
    }
  }));
  say(`state ${log.status().state}`);
} catch (error) {
  say(`failed ${error instanceof Error ? error.message : error}`);
  Deno.exit(3);
}
Deno.exit(0);
