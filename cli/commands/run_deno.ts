/**
 * `aasm run deno`: an unmodified Deno program with every one of its permissions decided by policy.
 * It starts what is needed, refuses when the broker is not ready, and stops the program when the
 * broker ends.
 *
 * @module
 */
import { AGENT_DISCONNECTED, AGENT_VIOLATION, RUNTIME_READY } from "../../proto/runtime_log.ts";
import type { CommandNamed } from "../arguments/parse.ts";
import { CommandError, ExitCode } from "../exit_code.ts";
import { printable } from "../render/printable.ts";
import { Agent } from "../run_deno/agent.ts";
import { denoArguments } from "../run_deno/deno_arguments.ts";
import {
  agentOf,
  agentVariables,
  gatewayWords,
  launcherArguments,
  placesOf,
  type RunPlaces,
  runtimeWords,
  tooLong,
} from "../run_deno/plan.ts";
import { registerAgent } from "../run_deno/registration.ts";
import { Program } from "../run_deno/program.ts";
import type { Session } from "../session.ts";

/** Runs the program and gives its exit code. */
export async function runDeno(
  command: CommandNamed<"run deno">,
  session: Session,
): Promise<number> {
  const words = denoArguments(command.argv);
  if (!words.ok) throw new CommandError(`cannot run that governed: ${words.why}`, ExitCode.USAGE);
  const agent = agentOf(command);
  if (/[/\0]|\.\./.test(agent)) {
    throw new CommandError(
      `cannot name an agent \`${agent}\`: the id becomes part of file names`,
      ExitCode.USAGE,
    );
  }
  const deno = Deno.execPath();
  const cwd = Deno.cwd();
  const places = placesOf(command, cwd);
  const long = tooLong(places);
  if (long !== undefined) {
    throw new CommandError(
      `cannot serve a socket at \`${long}\`: the path is too long`,
      ExitCode.USAGE,
      "name a shorter directory with --state-dir",
    );
  }
  const run = new Run(command, session, { deno, cwd, places });
  await using started = new AsyncDisposableStack();
  await run.prepare(started);
  return await run.agent(words.args);
}

interface Surroundings {
  readonly deno: string;
  readonly cwd: string;
  readonly places: RunPlaces;
}

class Run {
  /** With the identity that was registered, once one was. */
  #command: CommandNamed<"run deno">;
  #agent: Agent | undefined;
  #runtime_ended: Promise<unknown> | undefined;

  constructor(
    private readonly command: CommandNamed<"run deno">,
    private readonly session: Session,
    private readonly at: Surroundings,
  ) {
    this.#command = command;
  }

  /** Starts what is not there yet; nothing is left running when one of it fails. */
  async prepare(started: AsyncDisposableStack): Promise<void> {
    const { command, at: { places, cwd } } = this;
    if (command.broker !== undefined) return await this.#answers(places.broker);
    Deno.mkdirSync(places.directory, { recursive: true, mode: 0o700 });
    if (command.policy !== undefined) {
      this.#say(`starting a gateway under ${command.policy}`);
      started.use(
        await Program.start({
          ...this.#program("the gateway", gatewayWords(command.policy, places, cwd)),
          isReady: (line) => line === "ready",
          onLine: () => {},
        }),
      );
      if (command.agent === undefined) await this.#register();
    }
    this.#say("starting the runtime");
    const runtime = await Program.start({
      ...this.#program("the runtime", this.#runtimeWords()),
      isReady: (line) => messageOf(line)?.message === RUNTIME_READY,
      onLine: (line) => this.#heard(line),
    });
    started.use(runtime);
    this.#runtime_ended = runtime.ended;
    if (!isSocket(places.broker)) {
      throw new CommandError(
        `the runtime serves no permission broker at \`${places.broker}\`, so nothing was started`,
        ExitCode.UNREACHABLE,
      );
    }
  }

  /** Makes the agent known to the run's own gateway; its runtime gets the token in a file. */
  async #register(): Promise<void> {
    const { command, session, at: { places } } = this;
    const { org, team } = command;
    const registered = await registerAgent(session, places.gateway_socket, {
      org,
      team,
      name: agentOf(command),
    });
    Deno.writeTextFileSync(places.agent_token, `${registered.token}\n`, { mode: 0o600 });
    this.#command = {
      ...command,
      agent: registered.agent_id,
      agent_token_file: places.agent_token,
    };
  }

  #runtimeWords(): string[] {
    const { session: { flags }, at: { places, cwd } } = this;
    return runtimeWords(this.#command, flags, places, cwd);
  }

  /** Runs the agent to its end. */
  async agent(args: readonly string[]): Promise<number> {
    const { command, at: { deno, cwd, places } } = this;
    this.#say(
      `agent ${agentOf(this.#command)}: every permission of deno ${args.join(" ")} is decided by ${
        command.policy ?? "the gateway's policy"
      }`,
    );
    const ids = { trace_id: crypto.randomUUID(), session_id: crypto.randomUUID() };
    const variables = agentVariables(this.#command, places, ids, cwd);
    const agent = new Agent({ deno, args, variables });
    this.#agent = agent;
    const forget = forwardSignals(agent);
    void this.#runtime_ended?.then(() => agent.stop("the runtime ended"));
    const { code, stopped } = await agent.ended();
    forget();
    if (stopped === undefined) return code;
    throw new CommandError(`the agent was stopped: ${stopped}`, ExitCode.FAILURE);
  }

  /** Nothing is started behind a socket that nobody serves. */
  async #answers(path: string): Promise<void> {
    try {
      (await Deno.connect({ transport: "unix", path })).close();
    } catch {
      throw new CommandError(
        `the permission broker at \`${path}\` does not answer, so nothing was started`,
        ExitCode.UNREACHABLE,
        "start a runtime with --broker-socket, or leave out --broker",
      );
    }
  }

  /** What the runtime says of the agent's connection; warnings and worse are passed on. */
  #heard(line: string): void {
    const said = messageOf(line);
    if (said === undefined) return;
    const agent = this.#agent;
    const ours = agent !== undefined && said.pid === agent.pid;
    if (ours && said.message === AGENT_VIOLATION) {
      agent.stop(`its connection to the permission broker was tampered with (${said.why ?? ""})`);
    }
    if (ours && said.message === AGENT_DISCONNECTED) agent.disconnected();
    if (said.level === "warn" || said.level === "error") {
      const why = said.why ?? said.detail ?? said.error;
      this.#say(`runtime: ${said.message}${why === undefined ? "" : `: ${why}`}`);
    }
  }

  #program(name: string, words: readonly string[]) {
    const { deno } = this.at;
    return {
      name,
      deno,
      args: launcherArguments(deno, words),
      ready_ms: this.session.flags.timeout_seconds * 1_000,
    };
  }

  #say(text: string): void {
    this.session.terminal.err(`aasm: ${printable(text)}\n`);
  }
}

function isSocket(path: string): boolean {
  try {
    return Deno.lstatSync(path).isSocket === true;
  } catch {
    return false;
  }
}

interface LogLine {
  readonly level?: string;
  readonly message: string;
  readonly pid?: number;
  readonly why?: string;
  readonly detail?: string;
  readonly error?: string;
}

/** A line of the runtime's log; `undefined` for anything else. */
function messageOf(line: string): LogLine | undefined {
  try {
    const said: unknown = JSON.parse(line);
    const is_line = typeof said === "object" && said !== null && "message" in said &&
      typeof said.message === "string";
    return is_line ? said as LogLine : undefined;
  } catch {
    return undefined;
  }
}

/** A terminal tells the whole process group of Ctrl-C; elsewhere it is passed on. */
function forwardSignals(agent: Agent): () => void {
  const signals: Deno.Signal[] = Deno.stdin.isTerminal()
    ? ["SIGTERM", "SIGHUP"]
    : ["SIGTERM", "SIGHUP", "SIGINT"];
  const listeners = signals.map((signal) => {
    const listener = () => agent.signal(signal);
    Deno.addSignalListener(signal, listener);
    return () => Deno.removeSignalListener(signal, listener);
  });
  return () => listeners.forEach((forget) => forget());
}
