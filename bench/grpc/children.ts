/**
 * The processes of a benchmark run: each bound to one core, each gone when the run is, however the
 * run ends.
 *
 * @module
 */

/** Servers run on one core and what loads them on the other. */
export type Core = 0 | 1;

/** What to run. */
export interface Program {
  readonly command: readonly string[];
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
}

/** A running server. */
export interface Running {
  readonly pid: number;
  /** `host:port` without TLS. */
  readonly address: string;
  /** `host:port` with TLS, when it was started with a certificate. */
  readonly tls_address: string | undefined;
  /** Whether it has ended by itself. */
  ended(): boolean;
  /** Ends it; resolves when it is gone. */
  stop(): Promise<void>;
}

const open = new Set<Deno.ChildProcess>();
const START_TIMEOUT_MS = 30_000;
const ADDRESSES = /listening (\S+)(?: tls (\S+))?/;

/** The command bound to a core, that the kernel kills when this process dies without a word. */
export function bound(command: readonly string[], core: Core | undefined): string[] {
  const pinned = core === undefined ? [] : ["taskset", "-c", String(core)];
  return ["setpriv", "--pdeathsig", "KILL", ...pinned, ...command];
}

function spawn(
  program: Program,
  core: Core | undefined,
  stdout: "null" | "piped",
): Deno.ChildProcess {
  const [first = "", ...args] = bound(program.command, core);
  const child = new Deno.Command(first, {
    args,
    stdin: "null",
    stdout,
    stderr: "piped",
    ...(program.cwd === undefined ? {} : { cwd: program.cwd }),
    ...(program.env === undefined ? {} : { env: { ...program.env } }),
  }).spawn();
  open.add(child);
  child.status.then(() => open.delete(child));
  return child;
}

/** Runs a program to its end. */
export async function output(
  program: Program,
  core?: Core,
): Promise<{ success: boolean; stdout: string; stderr: string }> {
  const { success, stdout, stderr } = await spawn(program, core, "piped").output();
  const text = new TextDecoder();
  return { success, stdout: text.decode(stdout), stderr: text.decode(stderr) };
}

/**
 * Starts a server that says `listening host:port [tls host:port]` on standard error.
 *
 * @throws Error when it ends, or takes too long, before it says so
 */
export async function start(program: Program, core: Core): Promise<Running> {
  const child = spawn(program, core, "null");
  let ended = false;
  child.status.then(() => ended = true);
  const lines = child.stderr.pipeThrough(new TextDecoderStream()).getReader();
  const timer = setTimeout(() => kill(child, "SIGKILL"), START_TIMEOUT_MS);
  let text = "";
  let found: RegExpExecArray | null = null;
  while (found === null || !text.includes("\n", found.index)) {
    const { done, value } = await lines.read();
    if (done) throw new Error(`\`${program.command.join(" ")}\` ended unheard:\n${text}`);
    text += value;
    found = ADDRESSES.exec(text);
  }
  clearTimeout(timer);
  const drained = (async () => {
    while (!(await lines.read()).done);
  })();
  return {
    pid: child.pid,
    address: found[1] ?? "",
    tls_address: found[2],
    ended: () => ended,
    async stop() {
      kill(child, "SIGTERM");
      const patience = setTimeout(() => kill(child, "SIGKILL"), 2000);
      await child.status;
      clearTimeout(patience);
      await drained;
    },
  };
}

function kill(child: Deno.ChildProcess, signal: Deno.Signal): void {
  try {
    child.kill(signal);
  } catch {
    // Gone already.
  }
}

/** Ends everything that still runs. */
export async function stopAll(): Promise<void> {
  const children = [...open];
  for (const child of children) kill(child, "SIGKILL");
  await Promise.all(children.map((child) => child.status));
}
