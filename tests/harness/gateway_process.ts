/**
 * Starts the real gateway program for tests that cross programs.
 *
 * @module
 */
import { planLaunch } from "../../launch/main.ts";

const ROOT = new URL("../..", import.meta.url).pathname;
const READY_MS_MAX = 30_000;

/** A gateway running in its own process under its own permissions. */
export interface GatewayProcess {
  /** Address of the TCP listener, `127.0.0.1:port`; empty when only a socket was asked for. */
  readonly address: string;
  readonly pid: number;
  /** Everything it has written to standard error so far. */
  readonly log: () => string;
  /** SIGTERM, then the exit code. */
  stop(): Promise<number>;
  /** SIGKILL, no goodbye. */
  kill(): Promise<void>;
  /** Resolves with the exit code whenever it ends. */
  readonly ended: Promise<number>;
}

/**
 * Starts `gateway/main.ts` under exactly the launcher's permissions.
 *
 * @param argv Flags; `--listen 127.0.0.1:0` is added when no listener is named.
 * @param cwd Directory relative paths start from.
 * @throws {Error} with its output when it does not become ready.
 */
export async function startGatewayProcess(
  argv: readonly string[],
  cwd: string,
): Promise<GatewayProcess> {
  const named = argv.some((word) => word === "--listen" || word === "--socket");
  const flags = named ? argv : [...argv, "--listen", "127.0.0.1:0"];
  const launch = planLaunch("gateway", flags, cwd, () => undefined);
  const child = new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "--no-prompt",
      "--quiet",
      `--config=${ROOT}deno.json`,
      ...launch.runtime,
      ...launch.permissions,
      launch.entry.href,
      ...flags,
    ],
    cwd,
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).spawn();
  let log = "";
  const ended = child.status.then((status) => status.code);
  const ready = new Promise<void>((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`gateway not ready:\n${log}`)), READY_MS_MAX);
    (async () => {
      for await (const text of child.stderr.pipeThrough(new TextDecoderStream())) {
        log += text;
        if (/^ready$/m.test(log)) {
          clearTimeout(timer);
          resolve();
        }
      }
      clearTimeout(timer);
      reject(new Error(`gateway ended with ${await ended}:\n${log}`));
    })();
  });
  await ready;
  return {
    address: /listening {2}(127\.0\.0\.1:\d+)/.exec(log)?.[1] ?? "",
    pid: child.pid,
    log: () => log,
    ended,
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

/** A temporary directory that is gone afterwards. */
export async function inTemporaryDirectory(
  use: (directory: string) => Promise<void>,
): Promise<void> {
  const directory = await Deno.makeTempDir({ prefix: "aasm-test-" });
  try {
    await use(directory);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}
