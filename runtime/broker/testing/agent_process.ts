/**
 * Real Deno programs behind a real broker, for tests.
 *
 * @module
 */
import { join } from "node:path";
import { bindSocket } from "../../ipc/socket_file.ts";
import type { DecisionsPart } from "../../parts.ts";
import { Broker, type BrokerEvent, type BrokerOptions } from "../broker.ts";
import { denoFiles } from "../deno_files.ts";
import type { RepeatClock, Repeats } from "../repeats.ts";

/** Timers of the machine, in the broker's form. */
export const SYSTEM_CLOCK: RepeatClock = {
  now_ms: () => Date.now(),
  after: (delay_ms, run) => {
    const timer = setTimeout(run, delay_ms);
    return () => clearTimeout(timer);
  },
};

/** A broker in this process, in a directory of its own. */
export interface Stage {
  /** An empty directory for the program; real, that is, no link leads to it. */
  readonly directory: string;
  readonly socket: string;
  readonly broker: Broker;
  readonly events: BrokerEvent[];
  readonly repeats: Repeats[];
  readonly [Symbol.asyncDispose]: () => Promise<void>;
}

/** Starts a broker; everything ends with the scope that uses it. */
export async function stage(
  decisions: DecisionsPart,
  options: Partial<BrokerOptions> = {},
): Promise<Stage> {
  const root = await Deno.realPath(await Deno.makeTempDir());
  const directory = join(root, "work");
  await Deno.mkdir(directory);
  const socket = join(root, "run", "broker.sock");
  await Deno.mkdir(join(root, "run"), { mode: 0o700 });
  const events: BrokerEvent[] = [];
  const repeats: Repeats[] = [];
  const broker = new Broker(await bindSocket(socket, Deno.uid() ?? 0), {
    agent: { org_id: "o1", team_id: "t1", agent_id: "a1", credential_token: "", trace_id: "t" },
    decisions,
    recordRepeats: (counted) => Promise.resolve(void repeats.push(counted)),
    clock: SYSTEM_CLOCK,
    files: denoFiles,
    temp_directory: "/tmp",
    protected_paths: [join(root, "run")],
    first_directory: directory,
    uid: Deno.uid() ?? undefined,
    onEvent: (event) => void events.push(event),
    ...options,
  });
  return {
    directory,
    socket,
    broker,
    events,
    repeats,
    [Symbol.asyncDispose]: async () => {
      await broker.close();
      await Deno.remove(root, { recursive: true });
    },
  };
}

/** What a program printed and how it ended. */
export interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** A program under way. */
export function spawnDeno(
  socket: string,
  directory: string,
  args: readonly string[],
): Deno.ChildProcess {
  return new Deno.Command(Deno.execPath(), {
    args: [...args],
    cwd: directory,
    env: { DENO_PERMISSION_BROKER_PATH: socket, NO_COLOR: "1", DENO_NO_UPDATE_CHECK: "1" },
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
}

/** Writes `source` as a program, runs it under `flags` behind the broker, and waits for its end. */
export async function runScript(
  { directory, socket }: Pick<Stage, "directory" | "socket">,
  source: string,
  flags: readonly string[] = ["-A"],
  name = "agent.ts",
): Promise<Ended> {
  await Deno.writeTextFile(join(directory, name), source);
  const child = spawnDeno(socket, directory, ["run", "--quiet", "--no-lock", ...flags, name]);
  await child.stdin.close();
  const { code, stdout, stderr } = await child.output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code, stdout: text(stdout), stderr: text(stderr) };
}
