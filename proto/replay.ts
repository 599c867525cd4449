/**
 * A replay's report as `assembly.admin.v1.ReplayEvent`s, for whoever streams or prints it, and policy
 * texts from the wire.
 *
 * @module
 */
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { LIMITS } from "@agent-assembly/core/limits";
import type { PolicyDocument } from "@agent-assembly/core/policy/document";
import { loadPolicy } from "@agent-assembly/core/policy/load";
import { formatProblems } from "@agent-assembly/core/policy/position";
import { questionOf } from "@agent-assembly/core/policy/question";
import type { FlipGroup, ReplayReport, SideVerdict } from "@agent-assembly/core/replay/replay";
import type { ReplayPolicy } from "@agent-assembly/core/replay/side";
import {
  type PolicyTexts,
  type ReplayDifferenceSchema,
  type ReplayEvent,
  ReplayEventSchema,
  type SideVerdictSchema,
} from "./gen/assembly/admin/v1/replay_pb.ts";
import type { WireProblem } from "./problem.ts";

/** Agent ids named in one difference; the rest are counted. */
const AGENTS_NAMED_MAX = 100;

/** Everything that a finished replay tells, the summary last. */
export function replayEvents(
  report: ReplayReport,
  notes: readonly string[],
  decisions_per_second: number,
): ReplayEvent[] {
  return [
    ...notes.map((note) => event({ case: "note", value: note })),
    ...report.flips.map((group) => event({ case: "flip", value: differenceOf(group) })),
    ...report.undecidable.map((group) =>
      event({ case: "undecidable", value: differenceOf(group) })
    ),
    event({
      case: "summary",
      value: {
        facts: BigInt(report.facts),
        warmUp: BigInt(report.warm_up),
        same: BigInt(report.same),
        flipped: BigInt(report.flipped),
        undecided: BigInt(report.undecided),
        unlisted: BigInt(report.unlisted),
        newlyAllowedMicroUsd: BigInt(report.newly_allowed_micro_usd),
        newlyRefusedMicroUsd: BigInt(report.newly_refused_micro_usd),
        agents: BigInt(report.agents),
        drifted: BigInt(report.drifted),
        truncated: report.truncated,
        digest: report.digest,
        decisionsPerSecond: BigInt(Math.max(0, Math.round(decisions_per_second))),
      },
    }),
  ];
}

/** How far a replay has come. */
export function progressEvent(decided: number, flipped: number): ReplayEvent {
  const value = { decided: BigInt(decided), flipped: BigInt(flipped) };
  return event({ case: "progress", value });
}

function event(
  value: NonNullable<MessageInitShape<typeof ReplayEventSchema>["event"]>,
): ReplayEvent {
  return create(ReplayEventSchema, { event: value });
}

function differenceOf(group: FlipGroup): MessageInitShape<typeof ReplayDifferenceSchema> {
  const { principal, action, at_ms } = group.example;
  return {
    before: verdictOf(group.before),
    after: verdictOf(group.after),
    count: BigInt(group.count),
    microUsd: BigInt(group.micro_usd),
    agents: BigInt(group.agents.length),
    agentIds: group.agents.slice(0, AGENTS_NAMED_MAX),
    firstUnixMs: BigInt(group.first_ms),
    lastUnixMs: BigInt(group.last_ms),
    exampleJson: JSON.stringify(questionOf(principal, action, at_ms)),
  };
}

function verdictOf({ outcome, reason, rule }: SideVerdict): MessageInitShape<
  typeof SideVerdictSchema
> {
  if (rule === undefined) return { outcome, reason };
  const { file, line, column, path, policy_doc_id } = rule;
  return { outcome, reason, rule: { file, line, column, path, policyDocId: policy_doc_id } };
}

/**
 * Loads policy texts that came over the wire.
 *
 * @param field Name of the field, for the problem.
 * @returns The policy, or a problem with one located line for each mistake in the texts.
 */
export function policyFromWire(
  texts: PolicyTexts,
  field: string,
): { readonly ok: true; readonly policy: ReplayPolicy } | WireProblem {
  const { documents: sent, singleFile } = texts;
  if (sent.length === 0) {
    return { ok: false, field: `${field}.documents`, message: "is empty: send at least one file" };
  }
  if (sent.length > LIMITS.policy_documents || (singleFile && sent.length > 1)) {
    const most = singleFile ? 1 : LIMITS.policy_documents;
    const message = `has ${sent.length} documents, at most ${most}`;
    return { ok: false, field: `${field}.documents`, message };
  }
  const documents: PolicyDocument[] = [];
  const problems: string[] = [];
  for (const { file, content } of sent) {
    const loaded = loadPolicy(file, content, { reject_blank: true });
    if (loaded.ok) documents.push(loaded.document);
    else problems.push(...formatProblems(file, loaded.problems, loaded.omitted));
  }
  if (problems.length > 0) {
    return { ok: false, field, message: `is not valid\n${problems.slice(0, 100).join("\n")}` };
  }
  return { ok: true, policy: { mode: singleFile ? "single_file" : "directory", documents } };
}
