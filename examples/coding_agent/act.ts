/**
 * What the demo agent can intend to do, and how each intention is put to the gateway.
 *
 * @module
 */
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { ActionType } from "../../proto/gen/assembly/common/v1/common_pb.ts";
import {
  type ActionContext,
  ActionContextSchema,
} from "../../proto/gen/assembly/policy/v1/policy_pb.ts";

/** One intended act. Paths are absolute. */
export type Act =
  | { readonly kind: "file"; readonly op: FileOp; readonly path: string; readonly text?: string }
  | {
    readonly kind: "http";
    readonly method: "GET" | "POST";
    readonly url: string;
    readonly body?: string;
  }
  | { readonly kind: "process"; readonly program: string; readonly args: readonly string[] }
  | {
    readonly kind: "tool";
    readonly tool: string;
    readonly args: Readonly<Record<string, unknown>>;
  }
  /** Hands what a tool answered to the model: checked before the model sees it. */
  | { readonly kind: "tool_result"; readonly tool: string; readonly result: string }
  | { readonly kind: "model"; readonly model: string; readonly prompt: string };

/** `chmod` is no operation the wire knows: the gateway must refuse the question itself. */
export type FileOp = "read" | "write" | "append" | "delete" | "chmod";

/** What the wire calls an act. The number is a label for the log; the context decides. */
export function actionTypeOf(act: Act): ActionType {
  switch (act.kind) {
    case "file":
      return ActionType.FILE_OPERATION;
    case "http":
      return ActionType.NETWORK_CALL;
    case "process":
      return ActionType.PROCESS_EXEC;
    case "tool":
      return ActionType.TOOL_CALL;
    case "tool_result":
      return ActionType.TOOL_RESULT;
    case "model":
      return ActionType.LLM_CALL;
  }
}

/** The act as a question to the gateway. */
export function contextOf(act: Act): ActionContext {
  return create(ActionContextSchema, { action: wireAction(act) });
}

type WireAction = NonNullable<MessageInitShape<typeof ActionContextSchema>["action"]>;

function wireAction(act: Act): WireAction {
  switch (act.kind) {
    case "file":
      return { case: "fileOp", value: { operation: act.op, path: act.path } };
    case "http":
      return { case: "networkCall", value: claimedAddress(act.url) };
    case "process":
      return { case: "processExec", value: { command: act.program, args: [...act.args] } };
    case "tool": {
      const argsJson = new TextEncoder().encode(JSON.stringify(act.args));
      return { case: "toolCall", value: { toolName: act.tool, argsJson } };
    }
    case "tool_result": {
      const resultJson = new TextEncoder().encode(act.result);
      return { case: "toolResult", value: { toolName: act.tool, resultJson } };
    }
    case "model": {
      const promptTokens = promptTokensOf(act.prompt);
      return { case: "llmCall", value: { model: act.model, promptTokens } };
    }
  }
}

/** A rough count, four characters to a token: an estimate is what agents send. */
export function promptTokensOf(prompt: string): number {
  return Math.ceil(prompt.length / 4);
}

/**
 * Splits a URL the careless way many clients do: the host is whatever stands before the first `/`.
 * The gateway must not be fooled by it.
 */
function claimedAddress(url: string): { protocol: string; host: string; port: number } {
  const [protocol = "", rest = ""] = url.split("://", 2);
  const authority = rest.split("/", 1)[0] ?? "";
  const match = /^(.*):(\d+)$/.exec(authority);
  const port = match === null ? (protocol === "https" ? 443 : 80) : Number(match[2]);
  return { protocol, host: match?.[1] ?? authority, port };
}

/** The act in a few words, for the report. `root` is the demo's temporary directory. */
export function describe(act: Act, root: string): string {
  const short = (text: string) => text.replaceAll(`${root}/`, "");
  switch (act.kind) {
    case "file":
      return `${act.op} ${short(act.path)}`;
    case "http":
      return `${act.method} ${act.url}`;
    case "process":
      return `start ${short([act.program, ...act.args].join(" "))}`;
    case "tool":
      return `tool ${act.tool} ${short(JSON.stringify(act.args))}`;
    case "tool_result":
      return `hand the answer of ${act.tool} to the model`;
    case "model":
      return `ask ${act.model}: ${act.prompt.slice(0, 48)}`;
  }
}
