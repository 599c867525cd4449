/**
 * The grammar of `aasm iam`.
 *
 * @module
 */
import { object, or } from "@optique/core/constructs";
import { message } from "@optique/core/message";
import { multiple, optional, withDefault } from "@optique/core/modifiers";
import { argument, command, constant, flag, option } from "@optique/core/primitives";
import { duration, name, oneOf, text } from "./values.ts";

function role() {
  return oneOf("ROLE", [
    "owner",
    "org_admin",
    "admin",
    "team_admin",
    "developer",
    "viewer",
    "auditor",
  ]);
}

function scope() {
  return oneOf("SCOPE", [
    "read:members",
    "write:members",
    "read:policies",
    "write:policies",
    "read:audit",
    "admin",
  ]);
}

const org = withDefault(
  option("--org", text("NAME"), { description: message`Organisation it is bound to.` }),
  "",
);
const team = withDefault(
  option("--team", text("NAME"), { description: message`Team it is bound to.` }),
  "",
);

const whoami = command("whoami", object({ command: constant("iam whoami") }), {
  brief: message`Who the token or key belongs to, and what it may do.`,
  footer: message`Example: aasm iam whoami`,
});

const roles = command("roles", object({ command: constant("iam roles") }), {
  brief: message`Every role and what it includes.`,
  footer: message`Example: aasm iam roles --output json`,
});

const operators_list = command(
  "list",
  object({ command: constant("iam operators list") }),
  {
    brief: message`Everybody who may operate this gateway.`,
    footer: message`Example: aasm iam operators list`,
  },
);

const operators_create = command(
  "create",
  object({
    command: constant("iam operators create"),
    name: argument(name("NAME"), { description: message`Name; it is given once, for ever.` }),
    role: option("--role", role(), { description: message`At most your own.` }),
    org,
    team,
    valid_ms: optional(
      option("--for", duration(), { description: message`How long; no end otherwise.` }),
    ),
  }),
  {
    brief: message`Make an operator; the token is shown this once.`,
    footer:
      message`Example: aasm iam operators create alice --role team_admin --org acme --team ops`,
  },
);

const operators_revoke = command(
  "revoke",
  object({ command: constant("iam operators revoke"), name: argument(name("NAME")) }),
  {
    brief: message`End an operator and all of its keys; never the last owner.`,
    footer: message`Example: aasm iam operators revoke alice`,
  },
);

const rotate_token = command("rotate-token", object({ command: constant("iam rotate-token") }), {
  brief: message`Replace your own operator token; the new one is shown this once.`,
  footer: message`Example: aasm iam rotate-token --output json`,
});

const keys_list = command(
  "list",
  object({
    command: constant("iam keys list"),
    all: withDefault(flag("--all", { description: message`Ended ones, too.` }), false),
  }),
  {
    brief: message`API keys: your own, and with the right to see them everybody's.`,
    footer: message`Example: aasm iam keys list --all`,
  },
);

const keys_create = command(
  "create",
  object({
    command: constant("iam keys create"),
    label: argument(name("LABEL"), { description: message`What it is for.` }),
    scopes: multiple(
      option("--scope", scope(), { description: message`What it may do; may be given again.` }),
      { min: 1 },
    ),
    role: optional(option("--role", role(), { description: message`Yours otherwise.` })),
    org,
    team,
    valid_ms: optional(
      option("--for", duration(), { description: message`How long; 90 days otherwise.` }),
    ),
  }),
  {
    brief: message`Make a key that acts in your name; the secret is shown this once.`,
    footer: message`Example: aasm iam keys create ci --scope write:policies --for 30d`,
  },
);

const keys_rotate = command(
  "rotate",
  object({
    command: constant("iam keys rotate"),
    id: argument(name("KEY"), { description: message`Id of a key of yours.` }),
    overlap_ms: optional(option("--overlap", duration(), {
      description: message`How long the old secret stays good; not at all otherwise.`,
    })),
  }),
  {
    brief: message`Replace a key's secret; its end stays.`,
    footer: message`Example: aasm iam keys rotate key_0123456789abcdef --overlap 1h`,
  },
);

const keys_revoke = command(
  "revoke",
  object({ command: constant("iam keys revoke"), id: argument(name("KEY")) }),
  {
    brief: message`End a key at once.`,
    footer: message`Example: aasm iam keys revoke key_0123456789abcdef`,
  },
);

/** The `iam` group. */
export const iam = command(
  "iam",
  or(
    whoami,
    roles,
    command("operators", or(operators_list, operators_create, operators_revoke), {
      brief: message`People and programs that operate the gateway.`,
    }),
    command("keys", or(keys_list, keys_create, keys_rotate, keys_revoke), {
      brief: message`API keys.`,
    }),
    rotate_token,
  ),
  { brief: message`Operators, API keys and roles.` },
);
