/**
 * The grammar of `aasm ops`.
 *
 * @module
 */
import { object, or } from "@optique/core/constructs";
import { message } from "@optique/core/message";
import { optional, withDefault } from "@optique/core/modifiers";
import { argument, command, constant, flag, option } from "@optique/core/primitives";
import { name, oneOf } from "./values.ts";

const reason = option("--reason", name("TEXT"), { description: message`Why; kept in the record.` });

const order = {
  target: argument(name("TARGET"), {
    description: message`agent:ID, or TRACE:SPAN for one operation.`,
  }),
  agent: optional(
    option("--agent", name("AGENT"), { description: message`Whose operation it is.` }),
  ),
  unregistered: withDefault(
    flag("--unregistered", { description: message`The agent never registered.` }),
    false,
  ),
  reason,
};

const list = command(
  "list",
  object({
    command: constant("ops list"),
    agent: optional(option("--agent", name("AGENT"))),
    state: optional(
      option(
        "--state",
        oneOf("STATE", ["pending", "running", "paused", "completing", "terminated"]),
      ),
    ),
  }),
  {
    brief: message`Operations that are going on, and the orders in force.`,
    footer: message`Example: aasm ops list --state running`,
  },
);

const pause = command("pause", object({ command: constant("ops pause"), ...order }), {
  brief: message`Deny what an operation or an agent asks, until it is resumed.`,
  footer: message`Example: aasm ops pause agent:researcher-1 --reason 'odd traffic'`,
});

const resume = command("resume", object({ command: constant("ops resume"), ...order }), {
  brief: message`End a pause.`,
  footer: message`Example: aasm ops resume agent:researcher-1 --reason 'reviewed, harmless'`,
});

const terminate = command("terminate", object({ command: constant("ops terminate"), ...order }), {
  brief: message`End an operation or an agent for good.`,
  footer: message`Example: aasm ops terminate 4bf92f35:00f067aa --reason 'runaway loop'`,
});

const halt_all = command(
  "halt-all",
  object({
    command: constant("ops halt-all"),
    action: withDefault(
      option("--action", oneOf("ACTION", ["pause", "terminate"]), {
        description: message`What every agent is told.`,
      }),
      "pause",
    ),
    reason,
  }),
  {
    brief: message`Deny everything every agent asks, at once; it survives a restart.`,
    footer: message`Example: aasm ops halt-all --reason 'incident 42'`,
  },
);

const lift = command(
  "lift",
  object({
    command: constant("ops lift"),
    target: withDefault(
      argument(name("TARGET"), {
        description: message`* for the halt of everything, agent:ID, or TRACE:SPAN.`,
      }),
      "*",
    ),
    agent: optional(
      option("--agent", name("AGENT"), { description: message`Whose operation it is.` }),
    ),
    unregistered: withDefault(
      flag("--unregistered", { description: message`The agent never registered.` }),
      false,
    ),
    reason,
  }),
  {
    brief: message`End any order, a termination included; without a target the halt of everything.`,
    footer: message`Example: aasm ops lift --reason 'incident 42 is over'`,
  },
);

/** The `ops` group. */
export const ops = command("ops", or(list, pause, resume, terminate, halt_all, lift), {
  brief: message`What agents are doing, and stopping it.`,
});
