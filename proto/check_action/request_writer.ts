/**
 * Writes a `CheckActionRequest` from a message, or from the plain object a caller would give
 * `create`, without making the message first. Texts in ASCII only; argument bytes may hold anything.
 *
 * @module
 */
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { AgentIdSchema } from "../gen/assembly/common/v1/common_pb.ts";
import type {
  ActionContextSchema,
  CheckActionRequestSchema,
  FileOpContextSchema,
  LLMCallContextSchema,
  NetworkCallContextSchema,
  ProcessExecContextSchema,
  ToolCallContextSchema,
  ToolResultContextSchema,
} from "../gen/assembly/policy/v1/policy_pb.ts";
import { FieldWriter } from "./field_writer.ts";

const NO_BYTES: Uint8Array = new Uint8Array(0);

/** A message, or a plain object in whose place `create` makes one. */
type Given = { readonly $typeName?: unknown; readonly $unknown?: unknown } | null | undefined;

/** What was given is a message, or an object from which one is made. */
type Form = "message" | "plain" | "neither";

const WRITER = new FieldWriter();

/**
 * The bytes of a request.
 *
 * @returns `undefined` for what is not in the usual form, sound or not
 */
export function writeRequest(
  request: MessageInitShape<typeof CheckActionRequestSchema>,
): Uint8Array | undefined {
  const writer = WRITER;
  writer.begin();
  const form = formOf(request, "assembly.policy.v1.CheckActionRequest", "plain");
  if (form === "neither") return undefined;
  const { agentId, context, callerAgentId } = request;
  if (callerAgentId !== undefined) writeAgentId(writer, 0x3a, callerAgentId, form);
  if (context !== undefined) writeContext(writer, context, form);
  writer.integer(0x28, orZero(request.actionType, 0, form));
  writer.text(0x22, orZero(request.spanId, "", form));
  writer.text(0x1a, orZero(request.traceId, "", form));
  writer.text(0x12, orZero(request.credentialToken, "", form));
  if (agentId !== undefined) writeAgentId(writer, 0x0a, agentId, form);
  return writer.finish();
}

/** Inside a message only messages may be; inside a plain object either. */
function formOf(given: Given, type_name: string, outer: Form): Form {
  if (typeof given !== "object" || given === null) return "neither";
  if (given.$typeName === undefined) return outer === "plain" ? "plain" : "neither";
  return given.$typeName === type_name && given.$unknown === undefined ? "message" : "neither";
}

/** What a plain object leaves out has its zero value; a message leaves nothing out. */
function orZero<T>(value: T | undefined, zero: T, form: Form): T {
  return form === "plain" ? value ?? zero : value as T;
}

function writeAgentId(
  writer: FieldWriter,
  tag: number,
  agent: MessageInitShape<typeof AgentIdSchema>,
  outer: Form,
): void {
  const form = formOf(agent, "assembly.common.v1.AgentId", outer);
  if (form === "neither") return writer.giveUp();
  const mark = writer.mark();
  writer.text(0x1a, orZero(agent.agentId, "", form));
  writer.text(0x12, orZero(agent.teamId, "", form));
  writer.text(0x0a, orZero(agent.orgId, "", form));
  writer.close(tag, mark);
}

function writeContext(
  writer: FieldWriter,
  context: MessageInitShape<typeof ActionContextSchema>,
  outer: Form,
): void {
  const form = formOf(context, "assembly.policy.v1.ActionContext", outer);
  const { action } = context ?? {};
  if (form === "neither" || typeof action !== "object" || action === null) return writer.giveUp();
  const mark = writer.mark();
  switch (action.case) {
    case "llmCall":
      writeLlmCall(writer, action.value, form);
      break;
    case "toolCall":
      writeToolCall(writer, action.value, form);
      break;
    case "fileOp":
      writeFileOp(writer, action.value, form);
      break;
    case "networkCall":
      writeNetworkCall(writer, action.value, form);
      break;
    case "processExec":
      writeProcessExec(writer, action.value, form);
      break;
    case "toolResult":
      writeToolResult(writer, action.value, form);
      break;
    default:
      writer.giveUp();
  }
  writer.close(0x32, mark);
}

function writeLlmCall(
  writer: FieldWriter,
  value: MessageInitShape<typeof LLMCallContextSchema>,
  outer: Form,
): void {
  const form = formOf(value, "assembly.policy.v1.LLMCallContext", outer);
  if (form === "neither") return writer.giveUp();
  const mark = writer.mark();
  writer.flag(0x18, orZero(value.containsPii, false, form));
  writer.integer(0x10, orZero(value.promptTokens, 0, form));
  writer.text(0x0a, orZero(value.model, "", form));
  writer.close(0x0a, mark);
}

function writeToolCall(
  writer: FieldWriter,
  value: MessageInitShape<typeof ToolCallContextSchema>,
  outer: Form,
): void {
  const form = formOf(value, "assembly.policy.v1.ToolCallContext", outer);
  if (form === "neither") return writer.giveUp();
  const mark = writer.mark();
  writer.text(0x22, orZero(value.targetUrl, "", form));
  writer.content(0x1a, orZero(value.argsJson, NO_BYTES, form));
  writer.text(0x12, orZero(value.toolSource, "", form));
  writer.text(0x0a, orZero(value.toolName, "", form));
  writer.close(0x12, mark);
}

function writeFileOp(
  writer: FieldWriter,
  value: MessageInitShape<typeof FileOpContextSchema>,
  outer: Form,
): void {
  const form = formOf(value, "assembly.policy.v1.FileOpContext", outer);
  if (form === "neither") return writer.giveUp();
  const mark = writer.mark();
  writer.flag(0x18, orZero(value.isSensitivePath, false, form));
  writer.text(0x12, orZero(value.path, "", form));
  writer.text(0x0a, orZero(value.operation, "", form));
  writer.close(0x1a, mark);
}

function writeNetworkCall(
  writer: FieldWriter,
  value: MessageInitShape<typeof NetworkCallContextSchema>,
  outer: Form,
): void {
  const form = formOf(value, "assembly.policy.v1.NetworkCallContext", outer);
  if (form === "neither") return writer.giveUp();
  const mark = writer.mark();
  writer.flag(0x20, orZero(value.inAllowlist, false, form));
  writer.text(0x1a, orZero(value.protocol, "", form));
  writer.integer(0x10, orZero(value.port, 0, form));
  writer.text(0x0a, orZero(value.host, "", form));
  writer.close(0x22, mark);
}

function writeProcessExec(
  writer: FieldWriter,
  value: MessageInitShape<typeof ProcessExecContextSchema>,
  outer: Form,
): void {
  const form = formOf(value, "assembly.policy.v1.ProcessExecContext", outer);
  if (form === "neither") return writer.giveUp();
  const args = orZero(value.args, [], form);
  if (!Array.isArray(args)) return writer.giveUp();
  const mark = writer.mark();
  for (let index = args.length - 1; index >= 0; index--) writer.item(0x12, args[index]);
  writer.text(0x0a, orZero(value.command, "", form));
  writer.close(0x2a, mark);
}

function writeToolResult(
  writer: FieldWriter,
  value: MessageInitShape<typeof ToolResultContextSchema>,
  outer: Form,
): void {
  const form = formOf(value, "assembly.policy.v1.ToolResultContext", outer);
  if (form === "neither") return writer.giveUp();
  const mark = writer.mark();
  writer.text(0x22, orZero(value.sourceUrl, "", form));
  writer.content(0x1a, orZero(value.resultJson, NO_BYTES, form));
  writer.text(0x12, orZero(value.toolSource, "", form));
  writer.text(0x0a, orZero(value.toolName, "", form));
  writer.close(0x32, mark);
}
