/**
 * `aasm deno-flags`: local, no gateway is asked. The flags go to standard output, one a line, so
 * that a shell can put them into a command; what they leave out goes to standard error.
 *
 * @module
 */
import { compilePolicySet } from "../../core/policy/compile.ts";
import { denoFlags } from "../../core/deno_flags/compile.ts";
import { toDenoJson, toFlags } from "../../core/deno_flags/permission_set.ts";
import type { CommandNamed } from "../arguments/parse.ts";
import { ExitCode } from "../exit_code.ts";
import { loadPolicyPath } from "../policy_files.ts";
import { principalOf } from "../principal.ts";
import { painter } from "../render/color.ts";
import { printable } from "../render/printable.ts";
import { type Data, writeReport } from "../render/report.ts";
import type { Session } from "../session.ts";

/** Prints the flags, or with `--output json` a `deno.json` that holds them for `deno run -P`. */
export async function printDenoFlags(
  command: CommandNamed<"deno-flags">,
  session: Session,
): Promise<ExitCode> {
  const loaded = await loadPolicyPath(command.policy);
  const policy = compilePolicySet(loaded.documents, { mode: loaded.mode });
  const moving = command.assume_met ? "met" : "strict";
  const { permissions, notes } = denoFlags(policy, principalOf(command), { moving });
  const flags = toFlags(permissions);
  writeReport(
    {
      data: toDenoJson(permissions) as unknown as Data,
      table: () => flags.map((flag) => `${printable(flag)}\n`).join(""),
    },
    session.flags.output,
    session.terminal,
  );
  const paint = painter(session.terminal.colors);
  const unquotable = session.flags.output === "table" && flags.some((flag) => /\s/.test(flag))
    ? ["a path holds a blank: quote the flag, or use --output json"]
    : [];
  for (const note of [...loaded.warnings, ...policy.warnings, ...notes, ...unquotable]) {
    session.terminal.err(paint("caution", `note: ${printable(note)}\n`));
  }
  return ExitCode.OK;
}
