/**
 * The grammar of what concerns agents that are Deno programs: `aasm deno-flags`.
 *
 * @module
 */
import { merge, object } from "@optique/core/constructs";
import { message } from "@optique/core/message";
import { withDefault } from "@optique/core/modifiers";
import { command, constant, flag, option } from "@optique/core/primitives";
import { subject } from "./action.ts";
import { path } from "./values.ts";

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
