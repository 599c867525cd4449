/**
 * The agent's own process: started behind the broker, watched, and never left running without it.
 *
 * @module
 */

/** How to start it. */
export interface AgentOptions {
  readonly deno: string;
  readonly args: readonly string[];
  readonly variables: Readonly<Record<string, string>>;
}

/** Time for a process to end by itself after its connection to the broker has. */
const END_MS = 500;

/** By the shells' custom, what a signal ended has this and the signal's number as its code. */
const SIGNALLED = 128;

const SIGNAL_NUMBERS: Readonly<Record<string, number>> = {
  SIGHUP: 1,
  SIGINT: 2,
  SIGQUIT: 3,
  SIGABRT: 6,
  SIGKILL: 9,
  SIGSEGV: 11,
  SIGTERM: 15,
};

/** How the agent ended. */
export interface AgentEnd {
  /** Its own exit code, or 128 and the signal's number. */
  readonly code: number;
  /** Set when it was stopped from here, with why. */
  readonly stopped?: string;
}

/** An agent under way, on this process's standard streams. */
export class Agent {
  readonly #child: Deno.ChildProcess;
  #stopped: string | undefined;

  constructor({ deno, args, variables }: AgentOptions) {
    this.#child = new Deno.Command(deno, {
      args: [...args],
      env: { ...variables },
      stdin: "inherit",
      stdout: "inherit",
      stderr: "inherit",
    }).spawn();
  }

  /** Its process id. */
  get pid(): number {
    return this.#child.pid;
  }

  /** Passes a signal on. */
  signal(signal: Deno.Signal): void {
    try {
      this.#child.kill(signal);
    } catch {
      // It has ended; its status is on its way.
    }
  }

  /** Ends it at once. */
  stop(why: string): void {
    this.#stopped ??= why;
    this.signal("SIGKILL");
  }

  /**
   * Its connection to the broker is gone. One that ended closes it in the same breath; one that
   * goes on has lost it and is stopped.
   */
  disconnected(): void {
    const timer = setTimeout(
      () => this.stop("it went on without its connection to the permission broker"),
      END_MS,
    );
    void this.#child.status.then(() => clearTimeout(timer));
  }

  /** Resolves once it has ended. */
  async ended(): Promise<AgentEnd> {
    const { code, signal } = await this.#child.status;
    const number = signal === null ? undefined : SIGNAL_NUMBERS[signal];
    return {
      code: signal === null ? code : SIGNALLED + (number ?? 0),
      ...(this.#stopped === undefined ? {} : { stopped: this.#stopped }),
    };
  }
}
