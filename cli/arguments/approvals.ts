/**
 * The grammar of `aasm approvals`.
 *
 * @module
 */
import { object, or } from "@optique/core/constructs";
import { message } from "@optique/core/message";
import { multiple, optional, withDefault } from "@optique/core/modifiers";
import { argument, command, constant, flag, option } from "@optique/core/primitives";
import { integer, name, oneOf } from "./values.ts";

const LIMIT_MAX = 10_000;

const id = argument(name("ID"), { description: message`Id of the request.` });

const optional_reason = optional(
  option("--reason", name("TEXT"), { description: message`Why; kept in the record.` }),
);

const list = command(
  "list",
  object({
    command: constant("approvals list"),
    status: withDefault(
      option(
        "--status",
        oneOf("STATUS", [
          "pending",
          "approved",
          "rejected",
          "spent",
          "expired",
          "revoked",
          "all",
        ]),
      ),
      "pending",
    ),
    agent: optional(option("--agent", name("ID"), { description: message`Exact agent id.` })),
    limit: withDefault(
      option("--limit", integer("N", 1, LIMIT_MAX), { description: message`Most requests shown.` }),
      100,
    ),
  }),
  {
    brief: message`Requests that wait for a person, newest first.`,
    footer: message`Example: aasm approvals list --status all --agent researcher-1`,
  },
);

const get = command("get", object({ command: constant("approvals get"), id }), {
  brief: message`One request: what would be approved, who may, what happened.`,
  footer: message`Example: aasm approvals get 6f1c…`,
});

const approve = command(
  "approve",
  object({
    command: constant("approvals approve"),
    id,
    reason: optional_reason,
    condition: multiple(option("--condition", name("TEXT"), {
      description:
        message`${"once"} (the default), ${"until TIME"} or ${"exception USES until TIME"}.`,
    })),
    digest: optional(option("--digest", name("SHA256"), {
      description: message`Approve only what has this digest, as it was shown before.`,
    })),
    yes: withDefault(
      flag("--yes", { description: message`Do not ask; for scripts, best with --digest.` }),
      false,
    ),
  }),
  {
    brief: message`Show what is asked, then let exactly that happen.`,
    footer: message`Example: aasm approvals approve 6f1c… --reason 'change 4711'`,
  },
);

const reject = command(
  "reject",
  object({ command: constant("approvals reject"), id, reason: optional_reason }),
  {
    brief: message`Refuse it; the reason may also come on standard input.`,
    footer: message`Example: aasm approvals reject 6f1c… --reason 'not on a Friday'`,
  },
);

const forward = command(
  "forward",
  object({
    command: constant("approvals forward"),
    id,
    to: option("--to", name("NAME"), {
      description: message`An operator, ${"agent:ID"}, ${"team_admin"} or ${"org_admin"}.`,
    }),
    reason: optional_reason,
  }),
  {
    brief: message`Hand it to somebody else.`,
    footer: message`Example: aasm approvals forward 6f1c… --to alice`,
  },
);

const revoke = command(
  "revoke",
  object({
    command: constant("approvals revoke"),
    id,
    reason: option("--reason", name("TEXT"), { description: message`Why; kept in the record.` }),
  }),
  {
    brief: message`Take back a request, or a yes that was not used yet.`,
    footer: message`Example: aasm approvals revoke 6f1c… --reason 'wrong account'`,
  },
);

const watch = command(
  "watch",
  object({
    command: constant("approvals watch"),
    interactive: withDefault(
      flag("-i", "--interactive", { description: message`Decide with the keyboard.` }),
      false,
    ),
  }),
  {
    brief: message`Requests as they come and are decided, until Ctrl-C.`,
    footer: message`Example: aasm approvals watch -i`,
  },
);

/** The `approvals` group. */
export const approvals = command(
  "approvals",
  or(list, get, approve, reject, forward, revoke, watch),
  { brief: message`See and decide what waits for a person.` },
);
