/**
 * What an agent is about to do, and the question that is asked about it.
 *
 * @module
 */
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { ActionType } from "@agent-assembly/proto/common";
import {
  type ActionContextSchema,
  type CheckActionRequest,
  CheckActionRequestSchema,
} from "@agent-assembly/proto/policy";
import { InvalidActError, shownText } from "./errors.ts";
import { exactJson, type JsonValue } from "./json.ts";

/** A call of a named tool. */
export interface ToolCallAct {
  /** Tells acts apart. */
  readonly kind: "tool_call";
  /** The tool's name, as policy knows it. */
  readonly tool: string;
  /** Plain data; judged as its JSON text. */
  readonly args: unknown;
  /** Where the tool comes from, e.g. `function`, `mcp`. A label: policy does not judge it. */
  readonly source?: string;
  /** Where the call goes, for tools that are services. A label: policy does not judge it. */
  readonly target_url?: string;
}

/** What a tool answered, before the model sees it. */
export interface ToolResultAct {
  /** Tells acts apart. */
  readonly kind: "tool_result";
  /** The tool's name, as policy knows it. */
  readonly tool: string;
  /** Plain data, or text; a text is judged as it is, anything else as its JSON text. */
  readonly result: unknown;
  /** Where the tool comes from; a label. */
  readonly source?: string;
  /** Where the answer comes from; a label. */
  readonly source_url?: string;
}

/** A call of a language model. Its budget is reserved with the answer. */
export interface LlmCallAct {
  /** Tells acts apart. */
  readonly kind: "llm_call";
  /** The model's name. */
  readonly model: string;
  /** Estimate, tokens. */
  readonly prompt_tokens: number;
  /** The caller's own view; advisory. */
  readonly contains_pii?: boolean;
}

/** One access to one file. */
export interface FileAct {
  /** Tells acts apart. */
  readonly kind: "file";
  /** What is done to the file. */
  readonly operation: "read" | "write" | "create" | "append" | "delete";
  /** Absolute. */
  readonly path: string;
}

/** One outbound connection. */
export interface NetworkAct {
  /** Tells acts apart. */
  readonly kind: "network";
  /** Name or address without brackets. */
  readonly host: string;
  /** TCP port. */
  readonly port: number;
  /** URL scheme without colon, e.g. `https`. */
  readonly protocol: string;
}

/** One program start. */
export interface ProcessAct {
  /** Tells acts apart. */
  readonly kind: "process";
  /** Path or name of the program. */
  readonly program: string;
  /** Its arguments, one by one. */
  readonly args: readonly string[];
}

/** Anything that can be asked about. */
export type Act = ToolCallAct | ToolResultAct | LlmCallAct | FileAct | NetworkAct | ProcessAct;

/** The wire's name for an agent; empty parts are allowed (contract `wire` §6.1). */
export interface AgentTriple {
  /** Tenant organisation; may be empty. */
  readonly org_id: string;
  /** Team inside it; may be empty. */
  readonly team_id: string;
  /** The agent's own id. */
  readonly agent_id: string;
}

/** Where in a run an act belongs: its operation is `<trace>:<span>` (contract `wire` §1.3). */
export interface Operation {
  /** Names the run. */
  readonly trace_id: string;
  /** Names the step in it. */
  readonly span_id: string;
}

/** An act in the form that is judged: its data read once, so that nothing can change afterwards. */
export interface FixedAct<A extends Act = Act> {
  /** The same act over the data that was read. */
  readonly act: A;
  /** The text that is scanned on the other side; absent for acts that have none to cut. */
  readonly text?: string;
}

/**
 * Reads an act's data once.
 *
 * @throws {InvalidActError} when it holds what JSON cannot, or is too large.
 */
export function fixAct<A extends Act>(act: A): FixedAct<A> {
  if (act.kind === "tool_call" || act.kind === "tool_result") {
    if (typeof act.tool !== "string" || act.tool === "") {
      throw new InvalidActError("`tool` of an act is not sound: expected a text that is not empty");
    }
  }
  switch (act.kind) {
    case "tool_call": {
      const text = exactJson(act.args ?? {}, `arguments of ${describeAct(act)}`);
      const args: JsonValue = JSON.parse(text);
      return { act: { ...act, args }, text };
    }
    case "tool_result": {
      if (typeof act.result === "string") {
        exactJson(act.result, describeAct(act));
        return { act: { ...act }, text: act.result };
      }
      const text = exactJson(act.result ?? null, describeAct(act));
      const result: JsonValue = JSON.parse(text);
      return { act: { ...act, result }, text };
    }
    case "process":
      return { act: checked({ ...act, args: [...act.args] }) };
    case "llm_call":
    case "file":
    case "network":
      return { act: checked({ ...act }) };
    default:
      throw new InvalidActError("the act's `kind` is not known: expected one like `tool_call`");
  }
}

/** Largest number the wire holds for tokens and ports. */
const INT32_MAX = 2 ** 31 - 1;

/** An act that no question can be made of must not look like one that nobody answered. */
function checked<A extends Act>(act: A): A {
  const expect = (field: string, holds: boolean, expected: string) => {
    if (!holds) {
      throw new InvalidActError(`\`${field}\` of an act is not sound: expected ${expected}`);
    }
  };
  const text = (field: string, value: unknown) =>
    expect(field, typeof value === "string" && value !== "", "a text that is not empty");
  switch (act.kind) {
    case "llm_call":
      text("model", act.model);
      expect(
        "prompt_tokens",
        Number.isInteger(act.prompt_tokens) && act.prompt_tokens >= 0 &&
          act.prompt_tokens <= INT32_MAX,
        `a whole number from 0 to ${INT32_MAX}`,
      );
      break;
    case "file":
      text("path", act.path);
      break;
    case "network":
      text("host", act.host);
      expect(
        "port",
        Number.isInteger(act.port) && act.port >= 0 && act.port <= 65_535,
        "a whole number from 0 to 65535",
      );
      break;
    case "process":
      text("program", act.program);
      expect("args", act.args.every((one) => typeof one === "string"), "texts");
      break;
  }
  return act;
}

/** The question about an act; the transport adds the agent's credential. */
export function questionOf(
  { act, text }: FixedAct,
  agent: AgentTriple,
  operation: Operation,
): CheckActionRequest {
  return create(CheckActionRequestSchema, {
    agentId: { orgId: agent.org_id, teamId: agent.team_id, agentId: agent.agent_id },
    traceId: operation.trace_id,
    spanId: operation.span_id,
    actionType: ACTION_TYPES[act.kind],
    context: { action: wireAction(act, text ?? "") },
  });
}

const ACTION_TYPES: Readonly<Record<Act["kind"], ActionType>> = {
  tool_call: ActionType.TOOL_CALL,
  tool_result: ActionType.TOOL_RESULT,
  llm_call: ActionType.LLM_CALL,
  file: ActionType.FILE_OPERATION,
  network: ActionType.NETWORK_CALL,
  process: ActionType.PROCESS_EXEC,
};

type WireAction = NonNullable<MessageInitShape<typeof ActionContextSchema>["action"]>;

function wireAction(act: Act, text: string): WireAction {
  switch (act.kind) {
    case "tool_call":
      return {
        case: "toolCall",
        value: {
          toolName: act.tool,
          toolSource: act.source ?? "",
          argsJson: new TextEncoder().encode(text),
          targetUrl: act.target_url ?? "",
        },
      };
    case "tool_result":
      return {
        case: "toolResult",
        value: {
          toolName: act.tool,
          toolSource: act.source ?? "",
          resultJson: new TextEncoder().encode(text),
          sourceUrl: act.source_url ?? "",
        },
      };
    case "llm_call":
      return {
        case: "llmCall",
        value: {
          model: act.model,
          promptTokens: act.prompt_tokens,
          containsPii: act.contains_pii ?? false,
        },
      };
    case "file":
      return { case: "fileOp", value: { operation: act.operation, path: act.path } };
    case "network": {
      const { host, port, protocol } = act;
      return { case: "networkCall", value: { host, port, protocol } };
    }
    case "process":
      return { case: "processExec", value: { command: act.program, args: [...act.args] } };
  }
}

/** What an act is, without its contents: fit for errors and logs. */
export function describeAct(act: Act): string {
  switch (act.kind) {
    case "tool_call":
      return `tool \`${shownText(act.tool)}\``;
    case "tool_result":
      return `the answer of tool \`${shownText(act.tool)}\``;
    case "llm_call":
      return `a call of model \`${shownText(act.model)}\``;
    case "file":
      return `a file ${act.operation}`;
    case "network":
      return `a connection to \`${shownText(act.host)}\``;
    case "process":
      return `a start of \`${shownText(programName(act.program))}\``;
  }
}

function programName(program: string): string {
  return program.slice(program.lastIndexOf("/") + 1);
}
