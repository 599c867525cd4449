/**
 * Starts the real runtime in its own process, under the permissions its own flags ask for.
 *
 * @module
 */
import { parseArguments } from "../../runtime/config.ts";
import { runtimePermissions } from "../../runtime/permissions.ts";

/** A runtime that answers. */
export interface RuntimeProcess {
  /** Path of its socket. */
  readonly socket: string;
  /** SIGTERM; resolves with the exit code once its record is closed. */
  stop(): Promise<number>;
  /** Ends it at once if it still runs; for the way out after a failure. */
  kill(): Promise<void>;
}

/** Who the runtime stands beside, and where. */
export interface RuntimeOptions {
  readonly agent_id: string;
  readonly org_id: string;
  readonly team_id: string;
  /** `127.0.0.1:<port>` of the gateway. */
  readonly gateway: string;
  /** Private directory for its socket and record. */
  readonly directory: string;
}

const START_MS_MAX = 30_000;
const REPOSITORY = new URL("../../", import.meta.url).pathname;

/**
 * Starts a runtime.
 *
 * @throws {Error} with what it wrote, when it does not become ready.
 */
export async function startRuntime(options: RuntimeOptions): Promise<RuntimeProcess> {
  const { directory } = options;
  const socket = `${directory}/agent.sock`;
  const argv = [
    ...["--agent-id", options.agent_id, "--org-id", options.org_id, "--team-id", options.team_id],
    ...["--socket", socket, "--state-dir", `${directory}/state`, "--base-dir", directory],
    ...["--gateway", `http://${options.gateway}`],
    ...["--no-local-policy", "--metrics-listen", "127.0.0.1:0", "--stop-on-stdin-end"],
    // Whoever tries the demo in a container is root there; a service is no such user.
    "--allow-privileged",
  ];
  const parsed = parseArguments(argv);
  if (parsed.action !== "run") {
    throw new Error(parsed.action === "refuse" ? parsed.message : "the runtime does not run");
  }
  const child = new Deno.Command(Deno.execPath(), {
    args: [
      ...["run", "--no-prompt", "--no-remote", "--quiet", "--unstable-worker-options"],
      `--config=${REPOSITORY}deno.json`,
      ...runtimePermissions(parsed.config, directory, Deno.build),
      `${REPOSITORY}runtime/main.ts`,
      ...argv,
    ],
    stdin: "piped",
    stdout: "null",
    stderr: "piped",
  }).spawn();
  const kill = async (): Promise<void> => {
    try {
      child.kill("SIGKILL");
    } catch {
      // It has ended already.
    }
    await child.status;
    await child.stdin.abort().catch(() => {});
  };
  const output = readAll(child.stderr);
  try {
    await within(START_MS_MAX, output.matches(/"ready"/));
  } catch (error) {
    await kill();
    throw error;
  }
  return {
    socket,
    kill,
    async stop() {
      child.kill("SIGTERM");
      const { code } = await child.status;
      await output.ended;
      await child.stdin.abort().catch(() => {});
      return code;
    },
  };
}

function readAll(stream: ReadableStream<Uint8Array>) {
  let text = "";
  let wake: () => void = () => {};
  let done = false;
  const ended = (async () => {
    for await (const part of stream.pipeThrough(new TextDecoderStream())) {
      text += part;
      wake();
    }
    done = true;
    wake();
  })();
  return {
    ended,
    async matches(pattern: RegExp): Promise<void> {
      while (!pattern.test(text)) {
        if (done) throw new Error(`the runtime ended before it was ready:\n${text}`);
        await new Promise<void>((resolve) => wake = resolve);
      }
    },
  };
}

async function within<T>(limit_ms: number, work: Promise<T>): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not ready within ${limit_ms} ms`)), limit_ms);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
