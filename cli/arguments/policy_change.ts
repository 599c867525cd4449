/**
 * The grammar of those `aasm policy` commands that ask the gateway: history and changes.
 *
 * @module
 */
import { merge, object, or } from "@optique/core/constructs";
import { message } from "@optique/core/message";
import { multiple, optional, withDefault } from "@optique/core/modifiers";
import { argument, command, constant, flag, option } from "@optique/core/primitives";
import { duration, integer, name, path, text } from "./values.ts";

function version() {
  return argument(name("VERSION"), {
    description: message`Number, or the beginning of a digest.`,
  });
}

/** What every change takes. */
const terms = object({
  reason: withDefault(
    option("--reason", text("TEXT"), { description: message`Why; kept with the version.` }),
    "",
  ),
  dry_run: withDefault(
    flag("--dry-run", { description: message`Check and compare; change nothing.` }),
    false,
  ),
  proposal_ms: optional(option("--proposal-for", duration(), {
    description: message`Under four eyes: how long it waits for a second person; a day otherwise.`,
  })),
});

const history = command(
  "history",
  object({
    command: constant("policy history"),
    limit: withDefault(
      option("-n", "--limit", integer("N", 1, 1_000), { description: message`Versions shown.` }),
      10,
    ),
  }),
  {
    brief: message`Every policy that took effect: who, when, from where.`,
    footer: message`Example: aasm policy history -n 20`,
  },
);

const get = command(
  "get",
  object({
    command: constant("policy get"),
    version: optional(version()),
  }),
  {
    brief: message`Print the policy in force, or a version of it.`,
    footer: message`Example: aasm policy get 3`,
  },
);

const diff = command(
  "diff",
  object({
    command: constant("policy diff"),
    from: optional(argument(name("FROM"), { description: message`Version; in force otherwise.` })),
    to: optional(argument(name("TO"), { description: message`Version; in force otherwise.` })),
    proposal: optional(option("--proposal", name("ID"), {
      description: message`What a proposal would change.`,
    })),
    rules: withDefault(flag("--rules", { description: message`Only rules, no text.` }), false),
  }),
  {
    brief: message`What changed between two versions, rule by rule and line by line.`,
    footer: message`Example: aasm policy diff 3`,
  },
);

const apply = command(
  "apply",
  merge(
    object({
      command: constant("policy apply"),
      paths: multiple(argument(path("FILE|DIR", "any"))),
      remove: multiple(option("--remove", name("NAME"), {
        description: message`File to take out of the set; may be given again.`,
      })),
      replace_all: withDefault(
        flag("--replace-all", { description: message`Take out every file that is not given.` }),
        false,
      ),
      as: optional(option("--as", name("NAME"), {
        description: message`Name of the one given file in the set.`,
      })),
      expected: withDefault(
        option("--expect", text("DIGEST"), {
          description: message`Refuse when another policy is in force.`,
        }),
        "",
      ),
    }),
    terms,
  ),
  {
    brief: message`Put policy files in force, together or not at all.`,
    footer: message`Example: aasm policy apply policies/strict.yaml --reason 'incident 42'`,
  },
);

const rollback = command(
  "rollback",
  merge(object({ command: constant("policy rollback"), version: version() }), terms),
  {
    brief: message`Put an earlier version in force, as a new one.`,
    footer: message`Example: aasm policy rollback 3 --reason 'too strict'`,
  },
);

const bundle_export = command(
  "export",
  object({
    command: constant("policy bundle export"),
    version: optional(version()),
    output_file: optional(option("--file", path("FILE"), {
      description: message`Where to write it; standard output otherwise.`,
    })),
  }),
  {
    brief: message`A version as a signed bundle.`,
    footer: message`Example: aasm policy bundle export --file policy.bundle`,
  },
);

const bundle_verify = command(
  "verify",
  object({ command: constant("policy bundle verify"), file: argument(path("FILE")) }),
  {
    brief: message`Would the gateway take this bundle, and what would it change.`,
    footer: message`Example: aasm policy bundle verify policy.bundle`,
  },
);

const bundle_import = command(
  "import",
  merge(
    object({
      command: constant("policy bundle import"),
      file: argument(path("FILE")),
      force: withDefault(
        flag("--force", { description: message`Also when it is older than one taken before.` }),
        false,
      ),
    }),
    terms,
  ),
  {
    brief: message`Put a signed bundle in force.`,
    footer: message`Example: aasm policy bundle import policy.bundle`,
  },
);

const proposals = command(
  "proposals",
  object({
    command: constant("policy proposals"),
    all: withDefault(flag("--all", { description: message`Ended ones, too.` }), false),
  }),
  {
    brief: message`Changes that wait for a second person.`,
    footer: message`Example: aasm policy proposals`,
  },
);

const proposal_id = argument(name("ID"), { description: message`Id of the proposal.` });

const confirm = command(
  "confirm",
  object({
    command: constant("policy confirm"),
    id: proposal_id,
    expected: withDefault(
      option("--digest", text("DIGEST"), {
        description: message`Digest of the set you reviewed; any other is refused.`,
      }),
      "",
    ),
  }),
  {
    brief: message`As the second person: put a proposal in force.`,
    footer: message`Example: aasm policy confirm prop_0123456789abcdef`,
  },
);

const reject = command(
  "reject",
  object({
    command: constant("policy reject"),
    id: proposal_id,
    reason: option("--reason", name("TEXT"), { description: message`Why; kept in the record.` }),
  }),
  {
    brief: message`End a proposal.`,
    footer: message`Example: aasm policy reject prop_0123456789abcdef --reason 'too wide'`,
  },
);

/** History and changes. */
export const policy_changes = or(
  or(history, get, diff, apply, rollback),
  or(proposals, confirm, reject),
  command("bundle", or(bundle_export, bundle_verify, bundle_import), {
    brief: message`Signed policy bundles.`,
  }),
);
