/**
 * Client programs that run cases by themselves: each prints one JSON object a line,
 * `{"case", "ok": true, "ms"}` or `{"case", "ok": false, "reason"}`.
 *
 * @module
 */

import { runToEnd } from "./peer_process.ts";
import type { Report } from "./report.ts";

/** Runs a program and records what it says of the cases it was asked for; silence is a failure. */
export async function runCaseProgram(
  report: Report,
  peer: string,
  names: readonly string[],
  timeout_ms: number,
  program: { readonly command: string; readonly env?: Record<string, string> },
  args: readonly string[],
): Promise<void> {
  const { text } = await runToEnd(program.command, args, {
    signal: AbortSignal.timeout(timeout_ms),
    ...(program.env === undefined ? {} : { env: program.env }),
  });
  const rest: string[] = [];
  for (const line of text.split("\n")) {
    const said = parseLine(line);
    if (said === undefined) rest.push(line);
    else if (!names.includes(said.case)) rest.push(`of a case nobody asked for: ${line}`);
    else if (said.ok === true) report.pass(peer, said.case, said.ms ?? 0);
    else report.fail(peer, said.case, said.reason ?? "no reason given");
  }
  for (const name of names) {
    if (report.has(peer, name)) continue;
    report.fail(peer, name, `the program said nothing of it: ${rest.join("\n").slice(-400)}`);
  }
}

interface CaseLine {
  readonly case: string;
  readonly ok: boolean;
  readonly ms?: number;
  readonly reason?: string;
}

function parseLine(line: string): CaseLine | undefined {
  if (!line.startsWith("{")) return undefined;
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}
