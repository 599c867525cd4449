/**
 * `Deno.Command` that is asked about before a program starts.
 *
 * @module
 */
import { ConfigurationError } from "../errors.ts";
import type { CheckOptions, GovernedAgent } from "../governed_agent.ts";

/** What starts programs: the shape of `Deno.Command`. */
export type CommandConstructor = new (
  program: string,
  options?: Deno.CommandOptions,
) => Pick<Deno.Command, "output" | "spawn">;

/** A program that was not asked about yet. */
export interface GovernedCommand {
  /** Asks, runs the program to its end, and collects what it printed. */
  output(options?: CheckOptions): Promise<Deno.CommandOutput>;
  /** Asks, then starts it. Asking takes time, so that this is a promise. */
  spawn(options?: CheckOptions): Promise<Deno.ChildProcess>;
}

/** Makes commands for one agent; `new` is optional, as nothing happens until it is asked for. */
export type GovernedCommandFactory = (
  program: string,
  options?: Deno.CommandOptions,
) => GovernedCommand;

/**
 * Commands for the agent. There is no `outputSync`: an answer cannot be waited for in it.
 *
 * @param command @default `Deno.Command`
 * @throws {ConfigurationError} where there is no such thing.
 */
export function wrapCommand(
  agent: GovernedAgent,
  command: CommandConstructor | undefined = denoCommand(),
): GovernedCommandFactory {
  if (command === undefined) {
    throw new ConfigurationError("there is no `Deno.Command` here: pass what starts programs");
  }
  return (program, options = {}) => {
    // Read once: what is asked about is what is started.
    const fixed = { ...options, args: [...options.args ?? []] };
    const make = async (asked: CheckOptions = {}) => {
      const { act } = await agent.check({
        kind: "process",
        program: String(program),
        args: fixed.args.map(String),
      }, asked);
      return new command(act.program, { ...fixed, args: [...act.args] });
    };
    return {
      output: async (asked) => await (await make(asked)).output(),
      spawn: async (asked) => (await make(asked)).spawn(),
    };
  };
}

function denoCommand(): CommandConstructor | undefined {
  const deno: unknown = Reflect.get(globalThis, "Deno");
  if (typeof deno !== "object" || deno === null) return undefined;
  return Reflect.get(deno, "Command") as CommandConstructor;
}
