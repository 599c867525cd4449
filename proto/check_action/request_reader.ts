/**
 * `CheckActionRequest` in the form its senders write it. Messages have the shape `create` gives
 * them: zero values present, unset messages absent.
 *
 * @module
 */
import type { AgentId } from "../gen/assembly/common/v1/common_pb.ts";
import type {
  ActionContext,
  CheckActionRequest,
  FileOpContext,
  LLMCallContext,
  NetworkCallContext,
  ProcessExecContext,
  ToolCallContext,
  ToolResultContext,
} from "../gen/assembly/policy/v1/policy_pb.ts";
import { FieldReader } from "./field_reader.ts";

const READER = new FieldReader();
const NO_BYTES: Uint8Array<ArrayBuffer> = new Uint8Array(0);

/**
 * Reads a request whose fields come at most once, known, of the right wire type, within their message.
 *
 * @returns `undefined` for anything else, sound or not
 */
export function readRequest(bytes: Uint8Array): CheckActionRequest | undefined {
  READER.begin(bytes);
  const request = requestFields(READER, bytes.length);
  READER.finish();
  return READER.gave_up ? undefined : request;
}

function requestFields(reader: FieldReader, end: number): CheckActionRequest {
  let agent: AgentId | undefined;
  let caller: AgentId | undefined;
  let context: ActionContext | undefined;
  let credentialToken = "";
  let traceId = "";
  let spanId = "";
  let actionType = 0;
  while (reader.position < end) {
    switch (reader.tag()) {
      case 0x0a:
        if (agent !== undefined) reader.giveUp(); // The generated decoder merges them.
        agent = agentId(reader, reader.contentEnd(end));
        break;
      case 0x12:
        credentialToken = reader.text(end);
        break;
      case 0x1a:
        traceId = reader.text(end);
        break;
      case 0x22:
        spanId = reader.text(end);
        break;
      case 0x28:
        actionType = reader.integer(end);
        break;
      case 0x32:
        if (context !== undefined) reader.giveUp();
        context = actionContext(reader, reader.contentEnd(end));
        break;
      case 0x3a:
        if (caller !== undefined) reader.giveUp();
        caller = agentId(reader, reader.contentEnd(end));
        break;
      default:
        reader.giveUp();
    }
  }
  const request: CheckActionRequest = {
    $typeName: "assembly.policy.v1.CheckActionRequest",
    credentialToken,
    traceId,
    spanId,
    actionType,
  };
  if (agent !== undefined) request.agentId = agent;
  if (context !== undefined) request.context = context;
  if (caller !== undefined) request.callerAgentId = caller;
  return request;
}

function agentId(reader: FieldReader, end: number): AgentId {
  let orgId = "";
  let teamId = "";
  let agentId = "";
  while (reader.position < end) {
    switch (reader.tag()) {
      case 0x0a:
        orgId = reader.text(end);
        break;
      case 0x12:
        teamId = reader.text(end);
        break;
      case 0x1a:
        agentId = reader.text(end);
        break;
      default:
        reader.giveUp();
    }
  }
  return { $typeName: "assembly.common.v1.AgentId", orgId, teamId, agentId };
}

function actionContext(reader: FieldReader, end: number): ActionContext {
  let action: ActionContext["action"] | undefined;
  while (reader.position < end) {
    if (action !== undefined) reader.giveUp(); // One replaces another, or merges with it.
    else action = actionOf(reader, reader.tag(), end);
  }
  return {
    $typeName: "assembly.policy.v1.ActionContext",
    action: action ?? { case: undefined },
  };
}

function actionOf(
  reader: FieldReader,
  tag: number,
  end: number,
): ActionContext["action"] | undefined {
  switch (tag) {
    case 0x0a:
      return { case: "llmCall", value: llmCall(reader, reader.contentEnd(end)) };
    case 0x12:
      return { case: "toolCall", value: toolCall(reader, reader.contentEnd(end)) };
    case 0x1a:
      return { case: "fileOp", value: fileOp(reader, reader.contentEnd(end)) };
    case 0x22:
      return { case: "networkCall", value: networkCall(reader, reader.contentEnd(end)) };
    case 0x2a:
      return { case: "processExec", value: processExec(reader, reader.contentEnd(end)) };
    case 0x32:
      return { case: "toolResult", value: toolResult(reader, reader.contentEnd(end)) };
    default:
      reader.giveUp();
      return undefined;
  }
}

function llmCall(reader: FieldReader, end: number): LLMCallContext {
  let model = "";
  let promptTokens = 0;
  let containsPii = false;
  while (reader.position < end) {
    switch (reader.tag()) {
      case 0x0a:
        model = reader.text(end);
        break;
      case 0x10:
        promptTokens = reader.integer(end);
        break;
      case 0x18:
        containsPii = reader.flag(end);
        break;
      default:
        reader.giveUp();
    }
  }
  return { $typeName: "assembly.policy.v1.LLMCallContext", model, promptTokens, containsPii };
}

function toolCall(reader: FieldReader, end: number): ToolCallContext {
  let toolName = "";
  let toolSource = "";
  let argsJson: Uint8Array = NO_BYTES;
  let targetUrl = "";
  while (reader.position < end) {
    switch (reader.tag()) {
      case 0x0a:
        toolName = reader.text(end);
        break;
      case 0x12:
        toolSource = reader.text(end);
        break;
      case 0x1a:
        argsJson = reader.content(end);
        break;
      case 0x22:
        targetUrl = reader.text(end);
        break;
      default:
        reader.giveUp();
    }
  }
  const $typeName = "assembly.policy.v1.ToolCallContext";
  return { $typeName, toolName, toolSource, argsJson, targetUrl };
}

function fileOp(reader: FieldReader, end: number): FileOpContext {
  let operation = "";
  let path = "";
  let isSensitivePath = false;
  while (reader.position < end) {
    switch (reader.tag()) {
      case 0x0a:
        operation = reader.text(end);
        break;
      case 0x12:
        path = reader.text(end);
        break;
      case 0x18:
        isSensitivePath = reader.flag(end);
        break;
      default:
        reader.giveUp();
    }
  }
  return { $typeName: "assembly.policy.v1.FileOpContext", operation, path, isSensitivePath };
}

function networkCall(reader: FieldReader, end: number): NetworkCallContext {
  let host = "";
  let port = 0;
  let protocol = "";
  let inAllowlist = false;
  while (reader.position < end) {
    switch (reader.tag()) {
      case 0x0a:
        host = reader.text(end);
        break;
      case 0x10:
        port = reader.integer(end);
        break;
      case 0x1a:
        protocol = reader.text(end);
        break;
      case 0x20:
        inAllowlist = reader.flag(end);
        break;
      default:
        reader.giveUp();
    }
  }
  const $typeName = "assembly.policy.v1.NetworkCallContext";
  return { $typeName, host, port, protocol, inAllowlist };
}

function processExec(reader: FieldReader, end: number): ProcessExecContext {
  let command = "";
  const args: string[] = [];
  while (reader.position < end) {
    switch (reader.tag()) {
      case 0x0a:
        command = reader.text(end);
        break;
      case 0x12:
        args.push(reader.text(end));
        break;
      default:
        reader.giveUp();
    }
  }
  return { $typeName: "assembly.policy.v1.ProcessExecContext", command, args };
}

function toolResult(reader: FieldReader, end: number): ToolResultContext {
  let toolName = "";
  let toolSource = "";
  let resultJson: Uint8Array = NO_BYTES;
  let sourceUrl = "";
  while (reader.position < end) {
    switch (reader.tag()) {
      case 0x0a:
        toolName = reader.text(end);
        break;
      case 0x12:
        toolSource = reader.text(end);
        break;
      case 0x1a:
        resultJson = reader.content(end);
        break;
      case 0x22:
        sourceUrl = reader.text(end);
        break;
      default:
        reader.giveUp();
    }
  }
  const $typeName = "assembly.policy.v1.ToolResultContext";
  return { $typeName, toolName, toolSource, resultJson, sourceUrl };
}
