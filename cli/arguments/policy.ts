/**
 * The grammar of `aasm policy`. What asks a gateway stands in `policy_replay.ts` and
 * `policy_change.ts`.
 *
 * @module
 */
import { merge, object, or } from "@optique/core/constructs";
import { message } from "@optique/core/message";
import { multiple, optional, withDefault } from "@optique/core/modifiers";
import { argument, command, constant, flag, option } from "@optique/core/primitives";
import { action, subject } from "./action.ts";
import { learn, replay, simulate } from "./policy_replay.ts";
import { policy_changes } from "./policy_change.ts";
import { path, time } from "./values.ts";

const validate = command(
  "validate",
  object({
    command: constant("policy validate"),
    paths: multiple(argument(path("FILE|DIR", "any")), { min: 1 }),
  }),
  {
    brief: message`Check policy files; every problem with its line.`,
    footer: message`Example: aasm policy validate policies/balanced.yaml`,
  },
);

const explain = command(
  "explain",
  merge(
    object({
      command: constant("policy explain"),
      path: argument(path("FILE|DIR", "any")),
      at: optional(
        option("--at", time(), { description: message`Moment of the decision; now otherwise.` }),
      ),
    }),
    subject,
    object({ action }),
  ),
  {
    brief: message`Decide one action under a policy file, and say why.`,
    footer: message`Example: aasm policy explain policies/balanced.yaml exec -- rm -rf /`,
  },
);

const test = command(
  "test",
  object({
    command: constant("policy test"),
    paths: multiple(argument(path("FILE|DIR", "any")), { min: 1 }),
  }),
  {
    brief: message`Run policy test files (*.test.yaml).`,
    footer: message`Example: aasm policy test policies`,
  },
);

const schema = command("schema", object({ command: constant("policy schema") }), {
  brief: message`Print the JSON Schema of policy files.`,
  footer: message`Example: aasm policy schema > policy.schema.json`,
});

const analyze = command(
  "analyze",
  object({
    command: constant("policy analyze"),
    path: argument(path("FILE|DIR", "any")),
    strict: withDefault(
      flag("--strict", { description: message`Exit with 7 when anything is found.` }),
      false,
    ),
  }),
  {
    brief: message`Rules that can do nothing or contradict each other, each with a request to try.`,
    footer: message`Example: aasm policy analyze policies/balanced.yaml --strict`,
  },
);

/** The `policy` group. */
export const policy = command(
  "policy",
  or(or(validate, explain, test, schema, analyze, simulate, replay, learn), policy_changes),
  {
    brief: message`Check, explain, test, analyse, replay, learn and change policies.`,
  },
);
