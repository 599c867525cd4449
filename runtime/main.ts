/**
 * The runtime process: one agent's chokepoint on its own machine.
 *
 * Permissions, all derived from the flags by `permissions.ts`: net for its sockets, the health
 * address, the gateway and the NATS server; read and write for its sockets, state and spool; read
 * for rules, keys and what layer detection looks for; FFI for the C library's own path, given up
 * once it is open. No environment, no subprocess. `deno task runtime` grants exactly these.
 *
 * @module
 */
// deno-lint-ignore-file no-console
import { VERSION } from "../core/version.ts";
import { HELP, parseArguments, type RuntimeConfig } from "./config.ts";
import { jsonLog, type Log } from "./log.ts";
import { type Runtime, startRuntime } from "./runtime.ts";
import { SYSTEM_TIMERS } from "./timers.ts";

async function main(): Promise<number> {
  const parsed = parseArguments(Deno.args);
  switch (parsed.action) {
    case "help":
      console.log(HELP.trimEnd());
      return 0;
    case "version":
      console.log(`runtime ${VERSION}`);
      return 0;
    case "refuse":
      console.error(`error: ${parsed.message}`);
      return 2;
    case "run":
      return await serve(parsed.config);
  }
}

async function serve(config: RuntimeConfig): Promise<number> {
  const log = jsonLog(config.log_level, SYSTEM_TIMERS.now_ms, (line) => console.error(line));
  const asked = stopRequested(config);
  let runtime: Runtime;
  try {
    runtime = await startRuntime(config, {
      timers: SYSTEM_TIMERS,
      log,
      random: (bytes) => crypto.getRandomValues(new Uint8Array(bytes)),
    });
  } catch (error) {
    console.error(`error: the runtime did not start\n  ${messageOf(error)}`);
    return 1;
  }
  announce(config, runtime, log);
  const reason = await asked;
  log("info", "stopping", { reason });
  try {
    await runtime.stop();
  } catch (error) {
    log("error", "the runtime did not stop cleanly", { error: messageOf(error) });
    return 1;
  }
  log("info", "stopped");
  return 0;
}

function announce(config: RuntimeConfig, runtime: Runtime, log: Log): void {
  const { active_layers, degraded_layers } = runtime.report();
  log("info", "ready", {
    version: VERSION,
    agent_id: config.agent_id,
    socket: runtime.socket,
    health: `http://${runtime.health.hostname}:${runtime.health.port}/health`,
    gateway: config.gateway?.address.target ?? "none",
    active_layers,
    degraded_layers,
  });
}

/** A terminal signals the whole process group and the launcher forwards: one request, not two. */
const SAME_REQUEST_MS = 1_000;

/** Resolves with the reason once a signal, or the launcher's end, asks the runtime to stop. */
function stopRequested(config: RuntimeConfig): Promise<string> {
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

if (import.meta.main) {
  Deno.exit(await main());
}
