/**
 * The grammar of `aasm audit`.
 *
 * @module
 */
import { merge, object, or } from "@optique/core/constructs";
import { message } from "@optique/core/message";
import { optional, withDefault } from "@optique/core/modifiers";
import { argument, command, constant, flag, option } from "@optique/core/primitives";
import { entryIndex, integer, name, oneOf, path, time } from "./values.ts";

/** Where the log lies when no directory is named. */
export const DEFAULT_AUDIT_DIRECTORY = ".aasm/audit";
/** Where verifier keys are remembered. */
export const DEFAULT_KNOWN_KEYS = ".aasm/known_logs";
const LIMIT_MAX = 1_000;

const filters = object("Filters", {
  agent: optional(option("--agent", name("ID"), {
    description: message`Agent id, or the 32 hex digits the log shows.`,
  })),
  event_type: optional(option("--event-type", name("TYPE"), {
    description:
      message`Such as ${"PolicyViolation"}, or ${"violation"}, ${"approval"}, ${"budget"}.`,
  })),
  decision: optional(
    option("--decision", oneOf("DECISION", ["allow", "deny", "redact", "pending"])),
  ),
  since: optional(option("--since", time(), { description: message`First moment.` })),
  until: optional(option("--until", time(), { description: message`Last moment.` })),
});

const trust = object("Trust", {
  key: optional(option("--key", name("KEY|@FILE"), {
    description:
      message`The log's verifier key, from a source you trust. Without it the key seen first is remembered, and a later change is refused.`,
  })),
  known_keys: withDefault(
    option("--known-keys", path("FILE"), { description: message`Where keys are remembered.` }),
    DEFAULT_KNOWN_KEYS,
  ),
});

const list = command(
  "list",
  merge(
    object({
      command: constant("audit list"),
      limit: withDefault(
        option("--limit", integer("N", 1, LIMIT_MAX), {
          description: message`Most entries shown.`,
        }),
        50,
      ),
    }),
    filters,
  ),
  {
    brief: message`Newest entries first.`,
    footer: message`Example: aasm audit list --decision deny --since 2026-01-31`,
  },
);

const tail = command(
  "tail",
  object({
    command: constant("audit tail"),
    backlog: withDefault(
      option("--backlog", integer("N", 0, LIMIT_MAX), {
        description: message`Entries shown before new ones.`,
      }),
      10,
    ),
  }),
  {
    brief: message`Entries as they are recorded, until Ctrl-C.`,
    footer: message`Example: aasm audit tail --output json`,
  },
);

const verify = command(
  "verify",
  merge(
    object({
      command: constant("audit verify"),
      directory: withDefault(
        argument(path("DIR", "directory"), { description: message`Audit directory.` }),
        DEFAULT_AUDIT_DIRECTORY,
      ),
      remote: withDefault(
        flag("--remote", { description: message`Read the log over the gateway instead.` }),
        false,
      ),
    }),
    trust,
  ),
  {
    brief: message`Prove that no entry was edited, moved, dropped or cut off.`,
    footer: message`Example: aasm audit verify .aasm/audit --key @auditor.vkey`,
  },
);

const verify_chain = command(
  "verify-chain",
  object({
    command: constant("audit verify-chain"),
    file: argument(path("FILE"), { description: message`Log file, one JSON entry a line.` }),
  }),
  {
    brief: message`Check the hash chain of a JSONL log.`,
    footer: message`Example: aasm audit verify-chain .aasm/audit/audit.jsonl`,
  },
);

const prove = command(
  "prove",
  merge(
    object({
      command: constant("audit prove"),
      index: argument(entryIndex()),
      output_file: optional(option("--output-file", path("FILE"), {
        description: message`Write the proof here; standard output otherwise.`,
      })),
    }),
    trust,
  ),
  {
    brief: message`Fetch and check the proof that an entry is in the log.`,
    footer: message`Example: aasm audit prove 41 --output-file entry-41.proof`,
  },
);

const checkpoint = command(
  "checkpoint",
  merge(object({ command: constant("audit checkpoint") }), trust),
  {
    brief: message`Fetch and check the log's signed checkpoint.`,
    footer: message`Example: aasm audit checkpoint`,
  },
);

const export_ = command(
  "export",
  merge(
    object({
      command: constant("audit export"),
      format: option("--format", oneOf("FORMAT", ["csv", "json", "jsonl"])),
      output_file: optional(option("--output-file", path("FILE"), {
        description: message`Standard output otherwise.`,
      })),
      limit: optional(option("--limit", integer("N", 1, Number.MAX_SAFE_INTEGER), {
        description: message`Most entries written; all of them otherwise.`,
      })),
    }),
    filters,
  ),
  {
    brief: message`Every entry under the latest checkpoint, oldest first.`,
    footer: message`Example: aasm audit export --format csv --output-file audit.csv`,
  },
);

const compliance_export = command(
  "compliance-export",
  merge(
    object({
      command: constant("audit compliance-export"),
      framework: option("--framework", oneOf("FRAMEWORK", ["eu-ai-act", "soc2"]), {
        description: message`Whose requirements each entry is set against.`,
      }),
      format: withDefault(
        option("--format", oneOf("FORMAT", ["csv", "json", "jsonl", "ocsf", "cef"])),
        "jsonl",
      ),
      from: optional(option("--from", time(), { description: message`First moment.` })),
      to: optional(option("--to", time(), { description: message`The moment after the last.` })),
      output_file: optional(option("-o", "--output-file", path("FILE"), {
        description: message`Standard output otherwise.`,
      })),
      input: optional(option("--input", path("DIR", "directory"), {
        description: message`Read this audit directory instead of asking the gateway.`,
      })),
    }),
    trust,
  ),
  {
    brief:
      message`Entries with the requirements they are evidence for, and a manifest to check them.`,
    footer:
      message`Example: aasm audit compliance-export --framework soc2 --format csv --from 2026-01-01 -o soc2.csv`,
  },
);

/** The `audit` group. */
export const audit = command(
  "audit",
  or(list, tail, verify, verify_chain, prove, checkpoint, export_, compliance_export),
  { brief: message`Read and verify the record.` },
);
