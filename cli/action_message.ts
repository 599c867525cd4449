/**
 * An action in words as the wire message that an agent would send, so that a local decision and
 * the gateway's start from the same bytes.
 *
 * @module
 */
import { create } from "@bufbuild/protobuf";
import { common, policy } from "../proto/mod.ts";
import type { ActionWords } from "./arguments/action.ts";
import { CommandError, ExitCode } from "./exit_code.ts";

/** The wire form of an action. */
export interface ActionMessage {
  readonly type: common.ActionType;
  readonly context: policy.ActionContext;
}

/** Ports of the schemes that may be written without one. */
const SCHEME_PORTS: Readonly<Record<string, number>> = {
  https: 443,
  wss: 443,
  http: 80,
  ws: 80,
};

/**
 * @param content The tool's answer, for a `result` action.
 * @throws {CommandError} when the words name no action, e.g. a URL without a port.
 */
export function actionMessage(words: ActionWords, content: Uint8Array): ActionMessage {
  switch (words.kind) {
    case "tool":
      return message(common.ActionType.TOOL_CALL, {
        case: "toolCall",
        value: create(policy.ToolCallContextSchema, {
          toolName: words.name,
          toolSource: "function",
          argsJson: new TextEncoder().encode(words.args),
        }),
      });
    case "result":
      return message(common.ActionType.TOOL_RESULT, {
        case: "toolResult",
        value: create(policy.ToolResultContextSchema, {
          toolName: words.tool,
          toolSource: "function",
          resultJson: content,
        }),
      });
    case "file":
      return message(common.ActionType.FILE_OPERATION, {
        case: "fileOp",
        value: create(policy.FileOpContextSchema, {
          operation: words.operation,
          path: words.path,
        }),
      });
    case "net":
      return message(common.ActionType.NETWORK_CALL, {
        case: "networkCall",
        value: create(policy.NetworkCallContextSchema, networkTarget(words.target)),
      });
    case "exec":
      return message(common.ActionType.PROCESS_EXEC, {
        case: "processExec",
        value: create(policy.ProcessExecContextSchema, {
          command: words.argv[0] ?? "",
          args: words.argv.slice(1),
        }),
      });
    case "llm":
      return message(common.ActionType.LLM_CALL, {
        case: "llmCall",
        value: create(policy.LLMCallContextSchema, {
          model: words.model,
          promptTokens: words.prompt_tokens,
        }),
      });
  }
}

function message(
  type: common.ActionType,
  action: policy.ActionContext["action"],
): ActionMessage {
  return { type, context: create(policy.ActionContextSchema, { action }) };
}

/**
 * What a client would dial. The host is kept as typed, whatever it holds: judging it is the
 * decision's work.
 */
function networkTarget(target: string): { protocol: string; host: string; port: number } {
  const separator = target.indexOf("://");
  const protocol = separator < 0 ? "https" : target.slice(0, separator);
  const authority = separator < 0 ? target : target.slice(separator + 3).split(/[/?#]/)[0] ?? "";
  const with_port = /^(.*[^:]|\[.*\]):(\d{1,5})$/.exec(authority);
  const bare_ipv6 = /^[0-9A-Fa-f.]*:[0-9A-Fa-f.:]*:[0-9A-Fa-f.:]*$/.test(authority);
  if (with_port?.[1] !== undefined && !bare_ipv6) {
    return { protocol, host: with_port[1], port: Number(with_port[2]) };
  }
  const port = Object.hasOwn(SCHEME_PORTS, protocol) ? SCHEME_PORTS[protocol] : undefined;
  if (port === undefined) {
    throw new CommandError(
      `cannot tell the port of \`${target}\`: \`${protocol}\` has no well-known one`,
      ExitCode.USAGE,
      `write it, as in ${protocol}://host:1234`,
    );
  }
  return { protocol, host: authority, port };
}
