/**
 * The grammar of `aasm alerts`.
 *
 * @module
 */
import { object, or } from "@optique/core/constructs";
import { message } from "@optique/core/message";
import { optional, withDefault } from "@optique/core/modifiers";
import { argument, command, constant, flag, option } from "@optique/core/primitives";
import { integer, name, oneOf } from "./values.ts";

const PAGE_MAX = 10_000;
const SILENCE_SECONDS_MAX = 604_800;

const id = argument(name("ID"), { description: message`As ${"aasm alerts list"} shows it.` });
const agent = argument(name("AGENT"), {
  description: message`Registry key, or the agent's own id when only one agent has it.`,
});
const reason = withDefault(
  option("--reason", name("TEXT"), { description: message`Why; kept in the history.` }),
  "",
);

const list = command(
  "list",
  object({
    command: constant("alerts list"),
    agent: optional(option("--agent", name("AGENT"))),
    severity: optional(option("--severity", oneOf("SEVERITY", ["critical", "warning", "info"]))),
    category: optional(
      option(
        "--category",
        oneOf("CATEGORY", ["anomaly", "budget", "secret_detected", "rule", "system"]),
      ),
    ),
    status: withDefault(
      option(
        "--status",
        oneOf("STATUS", [
          "unresolved",
          "open",
          "acknowledged",
          "silenced",
          "suppressed",
          "resolved",
          "all",
        ]),
      ),
      "unresolved",
    ),
    limit: withDefault(
      option("--limit", integer("N", 1, PAGE_MAX), { description: message`Most alerts shown.` }),
      100,
    ),
  }),
  {
    brief: message`Newest alerts first.`,
    footer: message`Example: aasm alerts list --severity critical`,
  },
);

const get = command("get", object({ command: constant("alerts get"), id }), {
  brief: message`One alert and its history.`,
  footer: message`Example: aasm alerts get 01KE0M4A7Q0000000000000000`,
});

const ack = command("ack", object({ command: constant("alerts ack"), id, reason }), {
  brief: message`Say that somebody looks after it.`,
  footer: message`Example: aasm alerts ack 01KE0M4A7Q0000000000000000 --reason 'on it'`,
});

const resolve = command("resolve", object({ command: constant("alerts resolve"), id, reason }), {
  brief: message`Say that it is over; the same thing later is a new alert.`,
  footer: message`Example: aasm alerts resolve 01KE0M4A7Q0000000000000000 --reason 'load test'`,
});

const silence = command(
  "silence",
  object({
    command: constant("alerts silence"),
    id,
    seconds: option("--for", integer("SECONDS", 1, SILENCE_SECONDS_MAX), {
      description: message`How long; at most a week.`,
    }),
    reason,
  }),
  {
    brief: message`Not to be told of it for a while; it is still counted.`,
    footer: message`Example: aasm alerts silence 01KE0M4A7Q0000000000000000 --for 3600`,
  },
);

const watch = command(
  "watch",
  object({
    command: constant("alerts watch"),
    new_only: withDefault(
      flag("--new", { description: message`Without those that are open already.` }),
      false,
    ),
  }),
  { brief: message`Alerts as they come.`, footer: message`Example: aasm alerts watch --new` },
);

const detectors = command(
  "detectors",
  object({
    command: constant("alerts detectors"),
    agent: optional(
      option("--agent", name("AGENT"), { description: message`What policy asks for this agent.` }),
    ),
  }),
  {
    brief: message`What is looked for, by which rule, and what happens then.`,
    footer: message`Example: aasm alerts detectors --agent researcher-1`,
  },
);

const baseline = command(
  "baseline",
  object({ command: constant("alerts baseline"), agent }),
  {
    brief: message`What is usual for an agent.`,
    footer: message`Example: aasm alerts baseline researcher-1`,
  },
);

const reset = command(
  "reset-baseline",
  object({
    command: constant("alerts reset-baseline"),
    agent,
    reason: option("--reason", name("TEXT"), { description: message`Why; kept in the record.` }),
  }),
  {
    brief: message`Forget what was learned of an agent; its warm-up begins anew.`,
    footer: message`Example: aasm alerts reset-baseline researcher-1 --reason 'new duties'`,
  },
);

const rule_list = command("list", object({ command: constant("alerts rule list") }), {
  brief: message`Every rule, and whether its metric is measured.`,
  footer: message`Example: aasm alerts rule list`,
});

const rule_set = command(
  "set",
  object({
    command: constant("alerts rule set"),
    name: argument(name("NAME"), { description: message`Unique.` }),
    id: optional(option("--id", name("ID"), { description: message`Change this rule.` })),
    metric: option(
      "--metric",
      oneOf("METRIC", [
        "budget_spent_pct",
        "anomaly_score",
        "approval_pending_age",
        "policy_violation_count",
      ]),
    ),
    operator: withDefault(option("--operator", oneOf("OP", [">", ">=", "<", "<=", "="])), ">="),
    threshold: option("--threshold", integer("N", 0, Number.MAX_SAFE_INTEGER)),
    severity: withDefault(
      option("--severity", oneOf("SEVERITY", ["CRITICAL", "HIGH", "MEDIUM", "LOW"])),
      "MEDIUM",
    ),
    window: withDefault(
      option("--window", integer("SECONDS", 300, 3_600), {
        description: message`300, 900 or 3600.`,
      }),
      300,
    ),
    description: withDefault(option("--description", name("TEXT")), ""),
    disabled: withDefault(
      flag("--disabled", { description: message`Keep it, but be quiet.` }),
      false,
    ),
  }),
  {
    brief: message`Make or change a rule.`,
    footer:
      message`Example: aasm alerts rule set refusals --metric policy_violation_count --threshold 100`,
  },
);

const rule_delete = command(
  "delete",
  object({ command: constant("alerts rule delete"), id }),
  {
    brief: message`Delete a rule.`,
    footer: message`Example: aasm alerts rule delete 01KE0M4A7Q0000000000000000`,
  },
);

const rule = command("rule", or(rule_list, rule_set, rule_delete), {
  brief: message`Rules over what the gateway measures.`,
});

/** The `alerts` group. */
export const alerts = command(
  "alerts",
  or(list, get, ack, resolve, silence, watch, detectors, baseline, reset, rule),
  { brief: message`Alerts, and what is usual for agents.` },
);
