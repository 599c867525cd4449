/**
 * The gateway process.
 *
 * Permissions, all derived from the flags by `permissions.ts`: net for the listen addresses; read
 * for the policy, the certificates and the state; write for the state and the audit log. No
 * environment, no subprocess, no FFI. `deno task gateway` grants exactly these.
 *
 * @module
 */
// deno-lint-ignore-file no-console
import { VERSION } from "../core/version.ts";
import { type GatewayConfig, HELP, parseArguments } from "./config.ts";
import { type Gateway, startGateway } from "./server.ts";

async function main(): Promise<number> {
  const parsed = parseArguments(Deno.args);
  switch (parsed.action) {
    case "help":
      console.log(HELP.trimEnd());
      return 0;
    case "version":
      console.log(`gateway ${VERSION}`);
      return 0;
    case "refuse":
      console.error(`error: ${parsed.message}`);
      return 2;
    case "run":
      return await serve(parsed.config);
  }
}

async function serve(config: GatewayConfig): Promise<number> {
  const asked = stopRequested(config);
  let gateway: Gateway;
  try {
    gateway = await startGateway(config);
  } catch (error) {
    console.error(`error: the gateway did not start\n${indent(messageOf(error))}`);
    return 1;
  }
  announce(config, gateway);
  const reason = await asked;
  console.error(`stopping: ${reason}; answering what is in flight (again to stop at once)`);
  try {
    await gateway.stop(reason);
  } catch (error) {
    console.error(`error: the gateway did not stop cleanly\n${indent(messageOf(error))}`);
    return 1;
  }
  console.error("stopped: the audit log is closed with a signed checkpoint");
  return 0;
}

function announce(config: GatewayConfig, gateway: Gateway): void {
  const status = gateway.policy.status();
  const log = gateway.audit.status();
  const note = config.policy.kind === "path" && config.policy.defaulted
    ? " (no --policy given: starting on this one)"
    : "";
  console.error(`gateway ${VERSION}`);
  for (const address of gateway.listeners) console.error(`  listening  ${address}`);
  console.error(
    `  policy     ${status.source}${note}: ${status.state}, ${status.documents} document(s)`,
  );
  if (status.state === "unconfigured") {
    console.error("             every action is denied until a policy is given: --policy FILE|DIR");
  }
  for (const warning of status.warnings.slice(0, 20)) console.error(`  warning    ${warning}`);
  console.error(`  audit      ${log.directory}: ${log.entries} entries, key ${log.verifier_key}`);
  if (gateway.recovery !== "") console.error(`  recovery   ${gateway.recovery}`);
  console.error(
    `  state      ${config.state_dir} (operator token: ${config.state_dir}/operator.token)`,
  );
  console.error("ready");
}

/** A terminal signals the whole process group and the launcher forwards: one request, not two. */
const SAME_REQUEST_MS = 1_000;

/** Resolves with the reason once a signal, or the launcher's end, asks the gateway to stop. */
function stopRequested(config: GatewayConfig): Promise<string> {
  return new Promise((resolve) => {
    let asked_at_ms: number | undefined;
    const ask = (reason: string) => {
      const now_ms = performance.now();
      if (asked_at_ms === undefined) {
        asked_at_ms = now_ms;
        resolve(reason);
      } else if (now_ms - asked_at_ms > SAME_REQUEST_MS) {
        Deno.exit(1);
      }
    };
    for (const signal of ["SIGINT", "SIGTERM"] as const) {
      Deno.addSignalListener(signal, () => ask(signal));
    }
    if (config.stop_on_stdin_end) {
      endOfInput().then(() => asked_at_ms ?? ask("the launcher ended"));
    }
  });
}

async function endOfInput(): Promise<void> {
  const reader = Deno.stdin.readable.getReader();
  while (!(await reader.read()).done) {
    // Whatever is typed is ignored: only the end matters.
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function indent(text: string): string {
  return text.split("\n").map((line) => `  ${line}`).join("\n");
}

if (import.meta.main) {
  Deno.exit(await main());
}
