/**
 * The grammar of `aasm secrets`. A value never stands on the command line, where every process of
 * the machine could read it: it comes from standard input.
 *
 * @module
 */
import { object, or } from "@optique/core/constructs";
import { message } from "@optique/core/message";
import { multiple, optional, withDefault } from "@optique/core/modifiers";
import { argument, command, constant, flag, option } from "@optique/core/primitives";
import { name, path } from "./values.ts";

const secret = argument(name("NAME"), {
  description: message`Name of the secret: A to Z, then A to Z, 0 to 9 and _.`,
});

const tenant = {
  org: withDefault(
    option("--org", name("ORG"), { description: message`Organisation it belongs to.` }),
    "",
  ),
  team: withDefault(
    option("--team", name("TEAM"), { description: message`Team it belongs to.` }),
    "",
  ),
};

const set = command(
  "set",
  object({
    command: constant("secrets set"),
    name: secret,
    ...tenant,
    tools: multiple(
      option("--tool", name("TOOL"), { description: message`Only this tool may receive it.` }),
    ),
    replace: withDefault(
      flag("--replace", { description: message`Replace the present value.` }),
      false,
    ),
    exact: withDefault(
      flag("--exact", { description: message`Keep the line end at the end of the input.` }),
      false,
    ),
  }),
  {
    brief: message`Keep a value under a name; the value is read from standard input.`,
    footer: message`Example: aasm secrets set GITHUB_TOKEN --org acme --team web --tool github`,
  },
);

const list = command(
  "list",
  object({
    command: constant("secrets list"),
    org: optional(option("--org", name("ORG"))),
    team: optional(option("--team", name("TEAM"))),
  }),
  {
    brief: message`Names and versions, never values.`,
    footer: message`Example: aasm secrets list --org acme --team web`,
  },
);

const remove = command(
  "delete",
  object({ command: constant("secrets delete"), name: secret, ...tenant }),
  {
    brief: message`Forget a secret. Outbound bytes are still scanned for its values.`,
    footer: message`Example: aasm secrets delete GITHUB_TOKEN --org acme --team web`,
  },
);

const rotate = command("rotate-key", object({ command: constant("secrets rotate-key") }), {
  brief: message`Wrap every secret under the first key of the gateway's key source.`,
  footer: message`Example: aasm secrets rotate-key`,
});

const scan = command(
  "scan",
  object({
    command: constant("secrets scan"),
    file: argument(path("FILE"), { description: message`Bytes that are about to leave.` }),
  }),
  {
    brief: message`Does any value ever issued stand in a file? Exit code 3 unless it is clean.`,
    footer: message`Example: aasm secrets scan request.json`,
  },
);

/** The `secrets` group. */
export const secrets = command("secrets", or(set, list, remove, rotate, scan), {
  brief: message`Secrets that tools get and agents never see.`,
});
