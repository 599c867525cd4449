/**
 * `aasm check`: asks the gateway about one action. For real by default, recorded and counted like
 * any agent's question; with `--dry-run` only explained.
 *
 * @module
 */
import { create, fromBinary } from "@bufbuild/protobuf";
import type { Explanation } from "../../core/verdict.ts";
import { Metadata } from "../../grpc/mod.ts";
import { decisionWord, explanationFromWire, verdictOf } from "../../proto/mapping.ts";
import { admin, common, policy } from "../../proto/mod.ts";
import { actionMessage } from "../action_message.ts";
import type { CommandNamed } from "../arguments/parse.ts";
import { ExitCode } from "../exit_code.ts";
import { wordsOrFile } from "../files.ts";
import { type GatewayConnection, withGateway } from "../gateway_connection.ts";
import { explanationData } from "../render/explanation.ts";
import type { Field } from "../render/fields.ts";
import { type Data, writeReport } from "../render/report.ts";
import { verdictText } from "../render/verdict.ts";
import type { Session } from "../session.ts";
import { resultContent } from "./result_content.ts";

/** The gateway's answer with what came beside it. */
interface Answer {
  readonly response: policy.CheckActionResponse;
  readonly explanation: Explanation | undefined;
  /** Why there is no explanation. */
  readonly note: string | undefined;
  readonly audit_index: string | undefined;
  /** For the same question once a person has agreed. */
  readonly resume_token?: string | undefined;
}

/** `check`: 0 allow or redact, 3 deny, 4 pending. */
export async function checkAction(
  command: CommandNamed<"check">,
  session: Session,
): Promise<ExitCode> {
  const request = await requestOf(command);
  const resume = command.resume === undefined
    ? undefined
    : await wordsOrFile(command.resume, "resume token");
  const answer = await withGateway(
    session,
    (gateway) =>
      command.dry_run
        ? explainOnly(gateway, request)
        : askForReal(gateway, request, metadataOf(command.wait, resume)),
  );
  const { response } = answer;
  const decision = decisionWord(response.decision) ?? `unknown (${response.decision})`;
  writeReport(
    {
      data: dataOf(command, answer, decision),
      table: (terminal) =>
        verdictText({
          verdict: decision,
          reason: response.reason,
          facts: factsOf(command, answer),
          explanation: answer.explanation,
          notes: answer.note === undefined ? [] : [answer.note],
        }, terminal),
    },
    session.flags.output,
    session.terminal,
  );
  return exitCodeOf(response.decision);
}

/** What is neither an allow, a redaction nor pending is a denial, whatever number it has. */
function exitCodeOf(decision: number): ExitCode {
  switch (verdictOf(decision, false)) {
    case "allow":
    case "narrow":
    case "scrub":
      return ExitCode.OK;
    case "pending":
      return ExitCode.PENDING;
    case "deny":
      return ExitCode.DENIED;
  }
}

async function requestOf(command: CommandNamed<"check">): Promise<policy.CheckActionRequest> {
  const { type, context } = actionMessage(command.action, await resultContent(command.action));
  const { agent, org, team } = command;
  const claimed = agent !== undefined || org !== undefined || team !== undefined;
  const token = command.token === undefined
    ? ""
    : await wordsOrFile(command.token, "credential token");
  return create(policy.CheckActionRequestSchema, {
    ...(claimed ? { agentId: { agentId: agent ?? "", orgId: org ?? "", teamId: team ?? "" } } : {}),
    credentialToken: token,
    traceId: command.trace ?? crypto.randomUUID(),
    spanId: crypto.randomUUID(),
    actionType: type,
    context,
  });
}

async function explainOnly(
  gateway: GatewayConnection,
  request: policy.CheckActionRequest,
): Promise<Answer> {
  const answer = await gateway.admin.explainAction({ request }, await gateway.operator());
  const response = answer.response ?? create(policy.CheckActionResponseSchema);
  return { response, ...readExplanation(answer.explanation), audit_index: undefined };
}

function metadataOf(wait: boolean, resume: string | undefined): Metadata {
  const metadata = new Metadata().set("aasm-explain", "1");
  if (!wait) metadata.set("aasm-approval", "defer");
  if (resume !== undefined) metadata.set("aasm-resume", resume);
  return metadata;
}

async function askForReal(
  gateway: GatewayConnection,
  request: policy.CheckActionRequest,
  metadata: Metadata,
): Promise<Answer> {
  let trailers = new Metadata();
  const response = await gateway.policy.checkAction(
    request,
    gateway.options({
      metadata,
      onTrailers: (received) => trailers = received,
    }),
  );
  return {
    response,
    ...explanationIn(trailers),
    audit_index: trailers.get("aasm-audit-index"),
    resume_token: trailers.get("aasm-resume"),
  };
}

function explanationIn(trailers: Metadata): Pick<Answer, "explanation" | "note"> {
  const bytes = trailers.getBinary("aasm-explanation-bin");
  if (bytes === undefined) {
    const throttled = trailers.get("aasm-explain") === "throttled";
    const note = throttled
      ? "no explanation: the gateway explains no more questions this second; try again"
      : "no explanation: this gateway sends none";
    return { explanation: undefined, note };
  }
  try {
    return readExplanation(fromBinary(admin.ExplanationSchema, bytes));
  } catch {
    return { explanation: undefined, note: "no explanation: the gateway's is not readable" };
  }
}

function readExplanation(
  message: admin.Explanation | undefined,
): Pick<Answer, "explanation" | "note"> {
  if (message === undefined) return { explanation: undefined, note: "no explanation was sent" };
  const read = explanationFromWire(message);
  if (read.ok) return { explanation: read.explanation, note: undefined };
  const note = `no explanation: ${read.field}: ${read.message}; is this program the older one?`;
  return { explanation: undefined, note };
}

function factsOf(command: CommandNamed<"check">, answer: Answer): Field[] {
  const { response, audit_index, resume_token } = answer;
  const redactions = response.redact?.rules.map((rule) => rule.fieldPath).join(", ");
  return [
    ...(redactions === undefined ? [] : [{ name: "redact", value: redactions }]),
    ...(response.approvalId === "" ? [] : [{ name: "approval", value: response.approvalId }]),
    ...(resume_token === undefined
      ? []
      : [{ name: "then", value: `the same command with --resume ${resume_token}` }]),
    { name: "identity", value: assuranceWord(response.agentIdentityAssurance) },
    { name: "decided in", value: `${response.decisionLatencyUs} µs` },
    {
      name: "recorded",
      value: command.dry_run
        ? "no, this was a dry run"
        : audit_index === undefined
        ? "the gateway does not say"
        : `entry ${audit_index}`,
    },
  ];
}

function assuranceWord(assurance: common.AgentIdentityAssurance): string {
  return (common.AgentIdentityAssurance[assurance] ?? `unknown (${assurance})`).toLowerCase();
}

function dataOf(command: CommandNamed<"check">, answer: Answer, decision: string): Data {
  const { response, explanation, audit_index, note } = answer;
  const recorded = audit_index !== undefined && /^\d{1,20}$/.test(audit_index);
  return {
    decision,
    verdict: verdictOf(response.decision, false),
    reason: response.reason,
    policy_rule: response.policyRule,
    approval_id: response.approvalId === "" ? null : response.approvalId,
    resume_token: answer.resume_token ?? null,
    redact: (response.redact?.rules ?? []).map((rule) => ({
      field_path: rule.fieldPath,
      replacement: rule.replacement,
    })),
    identity: assuranceWord(response.agentIdentityAssurance),
    decision_latency_us: response.decisionLatencyUs,
    dry_run: command.dry_run,
    audit_index: recorded ? BigInt(audit_index) : null,
    explanation: explanation === undefined ? null : explanationData(explanation),
    note: note ?? null,
  };
}
