/**
 * The grammar of `aasm agent`.
 *
 * @module
 */
import { object, or } from "@optique/core/constructs";
import { message } from "@optique/core/message";
import { optional } from "@optique/core/modifiers";
import { argument, command, constant, option } from "@optique/core/primitives";
import { name, oneOf } from "./values.ts";

const agent_argument = argument(name("AGENT"), {
  description: message`Registry key, or the agent's own id when only one agent has it.`,
});

const reason = option("--reason", name("TEXT"), { description: message`Why; kept in the record.` });

const list = command(
  "list",
  object({
    command: constant("agent list"),
    status: optional(
      option("--status", oneOf("STATUS", ["active", "suspended", "deregistered", "stale"])),
    ),
    framework: optional(option("--framework", name("NAME"))),
  }),
  {
    brief: message`Every registered agent.`,
    footer: message`Example: aasm agent list --status suspended`,
  },
);

const inspect = command(
  "inspect",
  object({ command: constant("agent inspect"), agent: agent_argument }),
  {
    brief: message`One agent and its latest entries.`,
    footer: message`Example: aasm agent inspect researcher-1`,
  },
);

const suspend = command(
  "suspend",
  object({ command: constant("agent suspend"), agent: agent_argument, reason }),
  {
    brief: message`Deny everything an agent asks, until it is resumed.`,
    footer: message`Example: aasm agent suspend researcher-1 --reason 'odd traffic'`,
  },
);

const resume = command(
  "resume",
  object({ command: constant("agent resume"), agent: agent_argument, reason }),
  {
    brief: message`End a suspension.`,
    footer: message`Example: aasm agent resume researcher-1 --reason 'reviewed, harmless'`,
  },
);

/** The `agent` group. */
export const agent = command("agent", or(list, inspect, suspend, resume), {
  brief: message`Registered agents.`,
});
