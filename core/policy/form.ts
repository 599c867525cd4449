/**
 * Flat or envelope: which of the two forms a file has, and where its body is
 * (contract `policy-and-gateway` §1.1).
 *
 * @module
 */
import { BODY, ENVELOPE_KEYS, METADATA } from "./language.ts";
import type { Problems } from "./problems.ts";
import type { Reader, ReadSection } from "./read.ts";
import { entryOf, type MappingEntry, type MappingNode } from "./source_node.ts";
import { didYouMean, received } from "./suggest.ts";

/** The parts of a file. */
export interface Form {
  readonly form: "flat" | "envelope";
  readonly body: MappingNode;
  readonly metadata?: ReadSection<typeof METADATA.keys>;
}

/** Takes a file apart: it is an envelope when `spec` is there and not null. */
export function bodyOf(root: MappingNode, reader: Reader, problems: Problems): Form {
  const spec = entryOf(root, "spec");
  if (spec === undefined || isNull(spec)) {
    return { form: "flat", body: checkedBody(root, problems) };
  }
  const metadata = readMetadata(root, reader, problems);
  checkEnvelope(root, problems);
  const body = spec.value.kind === "mapping"
    ? spec.value
    : { kind: "mapping" as const, at: spec.value.at, entries: [] };
  if (spec.value.kind !== "mapping") {
    problems.error("spec", "must be a mapping of policy keys (`{}` when empty)", spec.value.at);
  }
  return {
    form: "envelope",
    body: checkedBody(body, problems),
    ...(metadata === undefined ? {} : { metadata }),
  };
}

/** Takes out what has its own message: the rule list of other policy languages, a lost envelope. */
function checkedBody(body: MappingNode, problems: Problems): MappingNode {
  const entries = body.entries.filter((entry) => {
    if (entry.key === "rules") {
      problems.error(
        "rules",
        "a rule list is not supported: the file is refused rather than loaded without its rules; " +
          "write the rules as sections, e.g. `tools`, `network`, `capabilities`",
        entry.key_at,
      );
      return false;
    }
    if (!isEnvelopeKey(entry.key)) return true;
    problems.error(
      entry.key,
      `unknown key ${received(entry.key)}: it belongs to the envelope form, ` +
        "where the policy stands under `spec`",
      entry.key_at,
    );
    return false;
  });
  return { ...body, entries };
}

/** Keys beside `spec`: a policy key there would be lost, anything else has no effect. */
function checkEnvelope(root: MappingNode, problems: Problems): void {
  for (const { key, key_at } of root.entries) {
    if (isEnvelopeKey(key)) continue;
    if (Object.hasOwn(BODY.keys, key) || key === "rules") {
      problems.error(
        key,
        `stands beside \`spec\`, where it would have no effect: move ${
          received(key)
        } into \`spec\``,
        key_at,
      );
      continue;
    }
    const hint = didYouMean(key, [...ENVELOPE_KEYS, ...Object.keys(BODY.keys)]);
    problems.warn(
      key,
      `unknown key ${received(key)} beside \`spec\` has no effect: ${hint}` +
        `envelope keys: ${ENVELOPE_KEYS.join(", ")}`,
      key_at,
    );
  }
}

/** Metadata; unknown keys in it are labels of other tools and only warned about. */
function readMetadata(
  root: MappingNode,
  reader: Reader,
  problems: Problems,
): ReadSection<typeof METADATA.keys> | undefined {
  const entry = entryOf(root, "metadata");
  if (entry === undefined || isNull(entry)) return undefined;
  if (entry.value.kind !== "mapping") {
    problems.error("metadata", "must be a mapping (`{}` when empty)", entry.value.at);
    return undefined;
  }
  const known = entry.value.entries.filter(({ key, key_at }) => {
    if (Object.hasOwn(METADATA.keys, key)) return true;
    problems.warn(
      `metadata.${key}`,
      `unknown key ${received(key)} has no effect: ${didYouMean(key, Object.keys(METADATA.keys))}` +
        `metadata keys: ${Object.keys(METADATA.keys).join(", ")}`,
      key_at,
    );
    return false;
  });
  return reader.keys(METADATA, { ...entry.value, entries: known }, "metadata");
}

function isEnvelopeKey(key: string): boolean {
  return ENVELOPE_KEYS.some((known) => known === key);
}

function isNull(entry: MappingEntry): boolean {
  return entry.value.kind === "scalar" && entry.value.value === null;
}
