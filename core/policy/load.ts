/**
 * Policy text to policy document: everything wrong is found in one pass and told with its place,
 * and a text with one error loads not at all (contract `policy-and-gateway` §1).
 *
 * @module
 */
import { policyDigest } from "./digest.ts";
import type { PolicyDocument } from "./document.ts";
import { bodyOf } from "./form.ts";
import { APPROVAL_TIMEOUT_DEFAULT_SECS, BODY } from "./language.ts";
import type { PolicyProblem } from "./position.ts";
import { DOCUMENT_FIELD, inTextOrder, Problems } from "./problems.ts";
import { Reader, type ReadSection } from "./read.ts";
import { readAnomaly } from "./sections/anomaly.ts";
import { readBudget } from "./sections/budget.ts";
import { readCapabilities } from "./sections/capabilities.ts";
import { readData } from "./sections/data.ts";
import { readFilesystem } from "./sections/filesystem.ts";
import { plain } from "./sections/located.ts";
import { readRateLimits } from "./sections/rate_limits.ts";
import { readSchedule } from "./sections/schedule.ts";
import { readScope } from "./sections/scope.ts";
import { readTools } from "./sections/tools.ts";
import type { MappingNode } from "./source_node.ts";
import { positionAt, readSourceText } from "./source_text.ts";
import { received } from "./suggest.ts";
import { parseYaml } from "./yaml_source.ts";

/** A loaded document, or why there is none. `omitted` counts problems beyond the bound. */
export type LoadResult =
  | {
    readonly ok: true;
    readonly document: PolicyDocument;
    readonly warnings: readonly PolicyProblem[];
  }
  | {
    readonly ok: false;
    readonly problems: readonly PolicyProblem[];
    readonly omitted: number;
  };

/** How to load. */
export interface LoadOptions {
  /**
   * Refuse a text that holds no document at all: empty, blank, comments only. Loaders of files set
   * it, because an editor in the middle of saving leaves such a file, and "no rules" allows all.
   *
   * @default false
   */
  readonly reject_blank?: boolean;
}

/**
 * Loads one policy. Pure; never throws; every input is bounded by `LIMITS`.
 *
 * @param file Name shown in explanations.
 * @param source Content of the file; bytes must be UTF-8.
 */
export function loadPolicy(
  file: string,
  source: Uint8Array | string,
  options: LoadOptions = {},
): LoadResult {
  const text = readSourceText(source);
  if (!text.ok) return { ok: false, problems: [text.problem], omitted: 0 };
  const problems = new Problems();
  warnOfHiddenOrder(text.text, problems);
  const root = readRoot(text.text, options, problems);
  const document = root === undefined ? undefined : readDocument(file, root, problems);
  if (document === undefined || problems.errors.length > 0) {
    return { ok: false, problems: inTextOrder(problems.errors), omitted: problems.omitted };
  }
  return {
    ok: true,
    document: { ...document, digest: policyDigest(document) },
    warnings: inTextOrder(problems.warnings),
  };
}

/**
 * Warns of characters that reorder text on a screen: what a reviewer sees would not be what is
 * loaded (CVE-2021-42574). They stay legal, as in any text of a right-to-left script.
 */
function warnOfHiddenOrder(text: string, problems: Problems): void {
  const hidden = /[\u202a-\u202e\u2066-\u2069]/.exec(text);
  if (hidden === null) return;
  problems.warn(
    DOCUMENT_FIELD,
    `bidirectional control character ${received(hidden[0])}: the text may read differently from ` +
      "what is loaded",
    positionAt(text, hidden.index),
  );
}

/** The mapping at the top of the text; a text without a document is an empty one. */
function readRoot(
  text: string,
  options: LoadOptions,
  problems: Problems,
): MappingNode | undefined {
  const root = parseYaml(text, problems);
  if (root?.kind === "mapping") return root;
  if (problems.errors.length > 0) return undefined;
  if (root !== undefined && !(root.kind === "scalar" && root.value === null)) {
    problems.error(
      DOCUMENT_FIELD,
      `YAML parse error: a policy is a mapping of keys, received ${
        root.kind === "sequence" ? "a list" : "a single value"
      }`,
      root.at,
    );
    return undefined;
  }
  if (options.reject_blank) {
    problems.error(
      DOCUMENT_FIELD,
      "the file holds no policy: write `{}` for one without restrictions",
    );
    return undefined;
  }
  return { kind: "mapping", at: { line: 1, column: 1 }, entries: [] };
}

function readDocument(
  file: string,
  root: MappingNode,
  problems: Problems,
): Omit<PolicyDocument, "digest"> {
  const reader = new Reader(problems);
  const { form, body, metadata } = bodyOf(root, reader, problems);
  const read = reader.keys(BODY, body, "");
  return {
    file,
    form,
    ...(metadata?.name === undefined ? {} : { name: metadata.name.value }),
    ...(metadata?.version === undefined ? {} : { policy_version: metadata.version.value }),
    ...(read.version === undefined ? {} : { version: read.version.value }),
    scope: readScope(read.scope, problems),
    ...(read.scope === undefined ? {} : { scope_at: plainPosition(read.scope) }),
    ...readSections(read, problems),
    tools: readTools(read.tools, problems),
    approval_timeout_secs: read.approval_timeout_secs?.value ?? APPROVAL_TIMEOUT_DEFAULT_SECS,
  };
}

/** The sections a document may leave out. */
type Sections = Pick<
  PolicyDocument,
  | "network"
  | "schedule"
  | "budget"
  | "data"
  | "capabilities"
  | "filesystem"
  | "syscalls"
  | "approval"
  | "anomaly"
  | "rate_limits"
>;

function readSections(read: ReadSection<typeof BODY.keys>, problems: Problems): Sections {
  const { network, schedule, budget, data, capabilities, filesystem, syscalls, approval } = read;
  const { anomaly, rate_limits } = read;
  const paths = filesystem === undefined ? undefined : readFilesystem(filesystem, problems);
  const timeout_seconds = approval?.value.timeout_seconds?.value;
  const escalation_role = approval?.value.escalation_role?.value;
  return {
    ...(network === undefined ? {} : { network: readNetwork(network, problems) }),
    ...(schedule === undefined ? {} : { schedule: readSchedule(schedule, problems) }),
    ...(budget === undefined ? {} : { budget: readBudget(budget, problems) }),
    ...(data === undefined ? {} : { data: readData(data, problems) }),
    ...(capabilities === undefined
      ? {}
      : { capabilities: readCapabilities(capabilities, problems) }),
    ...(paths === undefined ? {} : { filesystem: paths }),
    ...(syscalls === undefined ? {} : {
      syscalls: { at: syscalls.key_at, allow: (syscalls.value.allow?.value ?? []).map(plain) },
    }),
    ...(anomaly === undefined ? {} : { anomaly: readAnomaly(anomaly) }),
    ...(rate_limits === undefined ? {} : { rate_limits: readRateLimits(rate_limits, problems) }),
    ...(approval === undefined ? {} : {
      approval: {
        ...(timeout_seconds === undefined ? {} : { timeout_seconds }),
        ...(escalation_role === undefined ? {} : { escalation_role }),
      },
    }),
  };
}

function readNetwork(
  section: NonNullable<ReadSection<typeof BODY.keys>["network"]>,
  problems: Problems,
): NonNullable<PolicyDocument["network"]> {
  const hosts = section.value.allowlist?.value ?? [];
  for (const host of hosts) {
    if (host.value.trim() === "") {
      problems.error(host.path, "allowlist entry must not be empty", host);
    }
  }
  return { at: section.key_at, allowlist: hosts.map(plain) };
}

function plainPosition({ line, column }: { line: number; column: number }) {
  return { line, column };
}
