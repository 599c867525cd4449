/**
 * The grammar of what concerns agents that are Deno programs: `aasm run deno`, `aasm deno-flags`.
 *
 * @module
 */
import { merge, object } from "@optique/core/constructs";
import { message } from "@optique/core/message";
import { multiple, optional, withDefault } from "@optique/core/modifiers";
import { argument, command, constant, flag, option } from "@optique/core/primitives";
import { subject } from "./action.ts";
import { name, path, text } from "./values.ts";

/** `deno-flags`: local, no gateway is asked. */
export const deno_flags = command(
  "deno-flags",
  merge(
    object({
      command: constant("deno-flags"),
      policy: option("--policy", path("FILE|DIR", "any"), {
        description: message`The policy, as the gateway would load it.`,
      }),
      assume_met: withDefault(
        flag("--assume-met", {
          description:
            message`Take opening hours, rate limits, budgets and the secret scan for met instead of leaving out what they govern.`,
        }),
        false,
      ),
    }),
    subject,
  ),
  {
    brief: message`A policy as Deno's own permission flags, never wider than the policy.`,
    footer: message`Example: aasm deno-flags --policy policies/balanced.yaml --output json`,
  },
);

const deno = command(
  "deno",
  object({
    command: constant("run deno"),
    policy: optional(option("--policy", path("FILE|DIR", "any"), {
      description:
        message`Decide by this policy, in a gateway of this run's own; otherwise --gateway decides.`,
    })),
    agent: optional(
      option("--agent", name("ID"), { description: message`Agent id; \`deno\` otherwise.` }),
    ),
    org: optional(
      option("--org", name("ID"), { description: message`Organisation of the agent.` }),
    ),
    team: optional(option("--team", name("ID"), { description: message`Team of the agent.` })),
    agent_token_file: optional(option("--agent-token-file", path("FILE"), {
      description: message`File with the agent's credential token, when it is registered.`,
    })),
    broker: optional(option("--broker", path("PATH"), {
      description: message`Use this broker of a runtime that serves already; start nothing.`,
    })),
    state_dir: optional(option("--state-dir", path("DIR"), {
      description: message`What the run keeps; .aasm/run/AGENT otherwise.`,
    })),
    allow_privileged: withDefault(
      flag("--allow-privileged", {
        description: message`Start the runtime though it has capabilities it does not need.`,
      }),
      false,
    ),
    argv: multiple(
      argument(text("WORD"), { description: message`Words for Deno, after ${"--"}.` }),
      { min: 1 },
    ),
  }),
  {
    brief: message`Run a Deno program; policy decides each of its permissions, even under -A.`,
    footer: message`Example: aasm run deno --policy policies/balanced.yaml -- run -A agent.ts`,
  },
);

/** The \`run\` group. */
export const run = command("run", deno, {
  brief: message`Run an agent under policy.`,
});
