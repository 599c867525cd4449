/**
 * What an agent asks to do, independent of the wire that carried the question
 * (contract `policy-and-gateway` §4.1).
 *
 * @module
 */

/** One intended (or, for a tool result, just completed) act of an agent. */
export type Action =
  | ToolCall
  | ToolResult
  | FileAccess
  | NetworkRequest
  | ProcessExec
  | SendMessage;

/** A call of a named tool. An LLM call is a tool call named {@linkcode LLM_CALL_TOOL}. */
export interface ToolCall {
  readonly kind: "tool_call";
  readonly tool: string;
  /** JSON text of the arguments as the agent sent it; may be empty or malformed. */
  readonly args: string;
  /** Present when the wire message was an LLM call: what the ledger prices. */
  readonly llm?: { readonly model: string; readonly prompt_tokens: number };
}

/** What a tool answered, on its way back to the model. */
export interface ToolResult {
  readonly kind: "tool_result";
  readonly tool: string;
  readonly result: string;
}

/** How a file is about to be touched. The wire word `create` is a write. */
export type FileMode = "read" | "write" | "append" | "delete";

/** One access to one path. */
export interface FileAccess {
  readonly kind: "file_access";
  readonly path: string;
  readonly mode: FileMode;
}

/** One outbound connection or request. */
export interface NetworkRequest {
  readonly kind: "network_request";
  readonly url: string;
  /** Real HTTP method when known, else `CONNECT`. */
  readonly method: string;
}

/** One program start: program and arguments joined by single spaces. */
export interface ProcessExec {
  readonly kind: "process_exec";
  readonly command: string;
}

/** One message between agents. Absent ids are unknown, not empty. */
export interface SendMessage {
  readonly kind: "send_message";
  readonly source_team_id?: string;
  readonly target_team_id?: string;
  readonly channel_id?: string;
}

/** Tool name under which model calls are governed (contract §4.1). */
export const LLM_CALL_TOOL = "llm_call";

/**
 * The tool-call view of a model call: arguments are the three facts the wire carries.
 *
 * @param model Model name, as the caller gave it.
 * @param prompt_tokens Estimated prompt tokens.
 * @param contains_pii The caller's own claim; advisory only.
 */
export function llmCall(model: string, prompt_tokens: number, contains_pii: boolean): ToolCall {
  return {
    kind: "tool_call",
    tool: LLM_CALL_TOOL,
    args: JSON.stringify({ model, prompt_tokens, contains_pii }),
    llm: { model, prompt_tokens },
  };
}

/** The text of an action that may carry a secret (contract §4.7); `undefined` when it has none. */
export function scannableText(action: Action): string | undefined {
  switch (action.kind) {
    case "tool_call":
      return action.args;
    case "tool_result":
      return action.result;
    case "file_access":
      return action.path;
    case "network_request":
      return action.url;
    case "process_exec":
      return action.command;
    case "send_message":
      return undefined;
  }
}

/** The same action with another text where {@linkcode scannableText} finds its own. */
export function withScannableText(action: Action, text: string): Action {
  switch (action.kind) {
    case "tool_call":
      return { ...action, args: text };
    case "tool_result":
      return { ...action, result: text };
    case "file_access":
      return { ...action, path: text };
    case "network_request":
      return { ...action, url: text };
    case "process_exec":
      return { ...action, command: text };
    case "send_message":
      return action;
  }
}
