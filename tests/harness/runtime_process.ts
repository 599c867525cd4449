/**
 * Starts the real runtime program for tests that cross programs.
 *
 * @module
 */
import { planLaunch } from "../../launch/main.ts";

const ROOT = new URL("../..", import.meta.url).pathname;
const READY_MS_MAX = 30_000;

/** A runtime running in its own process under its own permissions. */
export interface RuntimeProcess {
  readonly socket: string;
  /** `http://127.0.0.1:port`. */
  readonly health: string;
  readonly pid: number;
  /** Everything it has written to standard error so far. */
  readonly log: () => string;
  /** SIGTERM, then the exit code. */
  stop(): Promise<number>;
  /** SIGKILL, no goodbye. */
  kill(): Promise<void>;
}

/**
 * Starts `runtime/main.ts` under exactly the launcher's permissions, for agent `agent-1` with its
 * socket and state in `cwd`. Privileges are permitted, because tests may run as root.
 *
 * @param argv Further flags.
 * @param cwd Directory of mode 0700.
 * @throws {Error} with its output when it does not become ready.
 */
export async function startRuntimeProcess(
  argv: readonly string[],
  cwd: string,
  standing: readonly string[] = ["--allow-privileged"],
): Promise<RuntimeProcess> {
  const flags = [
    ...["--agent-id", "agent-1", "--socket", "agent-1.sock", "--state-dir", "runtime-state"],
    ...["--metrics-listen", "127.0.0.1:0", ...standing, ...argv],
  ];
  const launch = planLaunch("runtime", flags, cwd, () => undefined);
  const child = new Deno.Command(Deno.execPath(), {
    args: [
      ...["run", "--no-prompt", "--quiet", `--config=${ROOT}deno.json`],
      ...launch.runtime,
      ...launch.permissions,
      launch.entry.href,
      ...launch.argv.filter((word) => word !== "--stop-on-stdin-end"),
    ],
    cwd,
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).spawn();
  let log = "";
  const ended = child.status.then((status) => status.code);
  const health = await new Promise<string>((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`runtime not ready:\n${log}`)), READY_MS_MAX);
    (async () => {
      for await (const text of child.stderr.pipeThrough(new TextDecoderStream())) {
        log += text;
        const address = /"message":"ready".*"health":"(http:[^"]+)\/health"/.exec(log)?.[1];
        if (address !== undefined) {
          clearTimeout(timer);
          resolve(address);
        }
      }
      clearTimeout(timer);
      reject(new Error(`runtime ended with ${await ended}:\n${log}`));
    })();
  });
  return {
    socket: `${cwd}/agent-1.sock`,
    health,
    pid: child.pid,
    log: () => log,
    async stop() {
      child.kill("SIGTERM");
      return await ended;
    },
    async kill() {
      child.kill("SIGKILL");
      await ended;
    },
  };
}
