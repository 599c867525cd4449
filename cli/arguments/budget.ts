/**
 * The grammar of `aasm budget` and `aasm cost`.
 *
 * @module
 */
import { object, or } from "@optique/core/constructs";
import { message } from "@optique/core/message";
import { optional, withDefault } from "@optique/core/modifiers";
import { command, constant, option } from "@optique/core/primitives";
import { name, oneOf } from "./values.ts";

const scope = optional(
  option("--scope", oneOf("SCOPE", ["agent", "team", "org", "subtree", "global"]), {
    description: message`Whose spend: one kind of account only.`,
  }),
);
const id = optional(
  option("--id", name("ID"), {
    description: message`One agent (key or id), team or organisation only.`,
  }),
);
const org = optional(
  option("--org", name("ORG"), { description: message`One organisation only.` }),
);

const summary = command("summary", object({ command: constant("budget summary"), scope, id }), {
  brief: message`What is spent, reserved and left, limit by limit.`,
  footer: message`Example: aasm budget summary --scope team`,
});

const forecast = command("forecast", object({ command: constant("budget forecast"), scope, id }), {
  brief: message`Where the running month is heading, and when its limit is reached.`,
  footer: message`Example: aasm budget forecast --scope org`,
});

const tree = command("tree", object({ command: constant("budget tree"), org }), {
  brief: message`Spend of organisations, teams and agents, each with what is below it.`,
  footer: message`Example: aasm budget tree --org acme`,
});

const pricing = command("pricing", object({ command: constant("budget pricing") }), {
  brief: message`Prices of models, and of a model nobody knows.`,
  footer: message`Example: aasm budget pricing`,
});

/** The `budget` group. */
export const budget = command("budget", or(summary, forecast, tree, pricing), {
  brief: message`Limits, spend and prices.`,
});

const cost_summary = command(
  "summary",
  object({
    command: constant("cost summary"),
    period: withDefault(
      option("--period", oneOf("PERIOD", ["today", "month"]), {
        description: message`What the list is ordered by.`,
      }),
      "today",
    ),
    group_by: withDefault(
      option("--group-by", oneOf("GROUP", ["agent", "team", "org"]), {
        description: message`One row for each of these.`,
      }),
      "agent",
    ),
  }),
  {
    brief: message`Spend of today and of the month, dearest first, then the totals.`,
    footer: message`Example: aasm cost summary --period month --group-by team`,
  },
);

const cost_forecast = command(
  "forecast",
  object({ command: constant("cost forecast"), scope, id }),
  {
    brief: message`The same as aasm budget forecast.`,
    footer: message`Example: aasm cost forecast`,
  },
);

const cost_tree = command("tree", object({ command: constant("cost tree"), org }), {
  brief: message`The same as aasm budget tree.`,
  footer: message`Example: aasm cost tree`,
});

/** The `cost` group. */
export const cost = command("cost", or(cost_summary, cost_forecast, cost_tree), {
  brief: message`Money spent.`,
});
