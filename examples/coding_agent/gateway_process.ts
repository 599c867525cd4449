/**
 * Starts the real gateway in its own process, under the permissions its own flags ask for, and
 * stops it the way a service manager would.
 *
 * @module
 */
import { parseArguments } from "../../gateway/config.ts";
import { gatewayPermissions } from "../../gateway/permissions.ts";
import { Channel, createHealthClient } from "../../grpc/mod.ts";

/** A gateway that answers. */
export interface GatewayProcess {
  /** `127.0.0.1:<port>` */
  readonly address: string;
  /** One `--allow-…` list, as it was granted. */
  readonly permissions: readonly string[];
  /** SIGTERM; resolves with the exit code once the log is closed. */
  stop(): Promise<number>;
  /** Ends it at once if it still runs; for the way out after a failure. */
  kill(): Promise<void>;
}

/** Time to become ready, and time to close the log. */
const START_MS_MAX = 30_000;
const STOP_MS_MAX = 20_000;
const REPOSITORY = new URL("../../", import.meta.url).pathname;

/**
 * Starts a gateway on a loopback port.
 *
 * @param listen Where; a free port when left out. A restarted gateway wants its old one.
 * @throws {Error} with what it wrote, when it does not become ready.
 */
export async function startGateway(
  policy: string,
  state_dir: string,
  listen = "127.0.0.1:0",
): Promise<GatewayProcess> {
  const argv = ["--policy", policy, "--state-dir", state_dir, "--listen", listen];
  const parsed = parseArguments(argv);
  if (parsed.action !== "run") throw new Error("the gateway does not understand its flags");
  const permissions = gatewayPermissions(parsed.config, REPOSITORY);
  const child = new Deno.Command(Deno.execPath(), {
    args: [
      ...["run", "--no-prompt", "--no-remote", "--quiet"],
      `--config=${REPOSITORY}deno.json`,
      ...permissions,
      `${REPOSITORY}gateway/main.ts`,
      ...argv,
      // It ends with the demo, however the demo ends.
      "--stop-on-stdin-end",
    ],
    stdin: "piped",
    stdout: "null",
    stderr: "piped",
  }).spawn();
  const kill = async () => {
    try {
      child.kill("SIGKILL");
    } catch {
      // It has ended already.
    }
    await child.status;
    await child.stdin.abort().catch(() => {});
  };
  try {
    const output = collect(child.stderr);
    const address = await within(START_MS_MAX, output.match(/listening +(127\.0\.0\.1:\d+)/));
    await untilServing(address);
    return {
      address,
      permissions,
      kill,
      async stop() {
        child.kill("SIGTERM");
        const { code } = await within(STOP_MS_MAX, child.status);
        await output.ended;
        await child.stdin.abort().catch(() => {});
        return code;
      },
    };
  } catch (error) {
    await kill();
    throw error;
  }
}

/** Asks the standard health service until it says SERVING. */
async function untilServing(address: string): Promise<void> {
  const channel = new Channel(address);
  try {
    const status = await createHealthClient(channel).check("", { timeout_ms: START_MS_MAX });
    if (status !== "SERVING") {
      throw new Error(`gateway at ${address} is not serving: health status ${status}`);
    }
  } finally {
    await channel.close();
  }
}

interface Output {
  /** First group of the first match, as soon as it was written. Rejects when the output ends first. */
  match(pattern: RegExp): Promise<string>;
  /** Everything, once the stream has ended. */
  readonly ended: Promise<string>;
}

function collect(stream: ReadableStream<Uint8Array>): Output {
  let text = "";
  let wake = () => {};
  let done = false;
  const ended = (async () => {
    for await (const part of stream.pipeThrough(new TextDecoderStream())) {
      text += part;
      wake();
    }
    done = true;
    wake();
    return text;
  })();
  return {
    ended,
    async match(pattern) {
      for (;;) {
        const found = pattern.exec(text)?.[1];
        if (found !== undefined) return found;
        if (done) throw new Error(`the gateway ended before it was ready:\n${text}`);
        await new Promise<void>((resolve) => wake = resolve);
      }
    },
  };
}

async function within<T>(limit_ms: number, work: Promise<T>): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${limit_ms} ms`)), limit_ms);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
