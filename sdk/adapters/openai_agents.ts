/**
 * OpenAI Agents: tools, MCP servers and models that ask first. Structural types only: the framework
 * is not imported.
 *
 * ```ts ignore
 * const agent = new Agent({
 *   name: "helper",
 *   model: guardModel(guard, model),
 *   tools: guardTools(guard, [search, sendMail]),
 *   mcpServers: [guardMcpServer(guard, files)],
 * });
 * ```
 *
 * The framework ends a run when a tool throws past its own error handling, so a denial is given to the
 * model as the tool's answer. Guardrails alone would not do: they can refuse, not redact.
 *
 * @module
 */
import {
  estimatedTokens,
  type Guard,
  messageOf,
  shownFailure,
  UnguardableToolError,
  type UnguardedTools,
  withOverrides,
} from "./guard.ts";

const SOURCE = "openai-agents";

/** What the adapter reads of any tool of the framework. */
export interface OpenAiTool {
  /** `function`, `shell`, `apply_patch`, `computer`, `hosted_tool`. */
  readonly type: string;
  /** Name by which the model calls it. */
  readonly name: string;
}

/** How a refused call ends. */
export interface RefusalOptions {
  /**
   * `answer`: the model reads the error as the tool's answer and the run goes on. `throw`: the run ends
   * with the error.
   *
   * @default "answer"
   */
  readonly on_refusal?: "answer" | "throw";
}

/** Options of {@linkcode guardTools}. */
export interface GuardToolsOptions extends UnguardedTools, RefusalOptions {}

/** The last parameter of `invoke`. */
interface CallDetails {
  readonly signal?: AbortSignal;
}

type Invoke = (context: unknown, input: string, details?: CallDetails) => Promise<unknown>;

/**
 * Wraps each tool: the policy is asked with its name and arguments before it runs, and with its result
 * before the model reads it. Functions, agents as tools, local shells and patch editors can be guarded.
 *
 * @returns Tools of the same types. The originals stay unguarded: hand out only these.
 * @throws {UnguardableToolError} for hosted tools, hosted shells and computers.
 */
export function guardTools<Tool extends OpenAiTool>(
  guard: Guard,
  tools: readonly Tool[],
  options: GuardToolsOptions = {},
): Tool[] {
  return tools.map((tool) => guardedTool(guard, tool, options));
}

function guardedTool<Tool extends OpenAiTool>(
  guard: Guard,
  tool: Tool,
  options: GuardToolsOptions,
): Tool {
  const invoke: unknown = Reflect.get(tool, "invoke");
  if (tool.type === "function" && typeof invoke === "function") {
    const original = invoke.bind(tool) as Invoke;
    return withOverrides(tool, { invoke: guardedInvoke(guard, tool.name, original, options) });
  }
  const shell: unknown = Reflect.get(tool, "shell");
  if (tool.type === "shell" && isObject(shell)) {
    return withOverrides(tool, { shell: guardedMethods(guard, tool.name, shell, ["run"]) });
  }
  const editor: unknown = Reflect.get(tool, "editor");
  if (tool.type === "apply_patch" && isObject(editor)) {
    const methods = ["createFile", "updateFile", "deleteFile"];
    return withOverrides(tool, { editor: guardedMethods(guard, tool.name, editor, methods) });
  }
  if (options.unguarded?.includes(tool.name) === true) return tool;
  throw new UnguardableToolError(
    tool.name,
    tool.type === "computer"
      ? "it acts by pointer and keyboard, which no policy can judge"
      : "it runs at the model's provider",
  );
}

function guardedInvoke(
  guard: Guard,
  name: string,
  invoke: Invoke,
  { on_refusal = "answer" }: RefusalOptions,
): Invoke {
  return async (context, input, details) => {
    const about = { tool: name, source: SOURCE, ...signalOf(details) };
    const refused = (error: unknown): string => {
      if (on_refusal === "throw") throw error;
      return messageOf(error);
    };
    const args = parsed(input);
    let allowed: unknown;
    try {
      allowed = await guard.beforeTool({ ...about, args });
    } catch (error) {
      return refused(error);
    }
    const given = allowed === args ? input : textOf(allowed);
    let result: unknown;
    try {
      result = await invoke(context, given, details);
    } catch (error) {
      // A tool without an error function: the run ends with its error, as it would have.
      throw await shownFailure(guard, about, error);
    }
    try {
      return await guard.afterTool({ ...about, result });
    } catch (error) {
      return refused(error);
    }
  };
}

/** A shell or an editor: an object whose methods take one operation and do it. */
function guardedMethods<T extends object>(
  guard: Guard,
  tool: string,
  original: T,
  names: readonly string[],
): T {
  const guarded = names.flatMap((name) => {
    const method: unknown = Reflect.get(original, name);
    if (typeof method !== "function") return [];
    // What is thrown here the framework makes a failed answer of, and the model reads it.
    const run = async (operation: unknown, ...more: unknown[]): Promise<unknown> => {
      const given = await guard.beforeTool({ tool, source: SOURCE, args: operation });
      const run = () => Reflect.apply(method, original, [given, ...more]);
      const result = await resultOf(guard, { tool, source: SOURCE }, run);
      return await guard.afterTool({ tool, source: SOURCE, result });
    };
    return [[name, run] as const];
  });
  return overridden(original, Object.fromEntries(guarded));
}

async function resultOf(
  guard: Guard,
  about: { readonly tool: string; readonly source: string },
  run: () => unknown,
): Promise<unknown> {
  try {
    return await run();
  } catch (error) {
    throw await shownFailure(guard, about, error);
  }
}

/** An object with some methods replaced; the others go on working on the original's private state. */
function overridden<T extends object>(original: T, overrides: Record<string, unknown>): T {
  return new Proxy(original, {
    get(target, key) {
      if (typeof key === "string" && Object.hasOwn(overrides, key)) return overrides[key];
      const value: unknown = Reflect.get(target, key, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}

/** What the adapter reads of an MCP server of the framework. */
export interface OpenAiMcpServer {
  /** The server's name. */
  readonly name: string;
  /** Calls one of its tools. */
  readonly callTool: (
    tool: string,
    args: Record<string, unknown> | null,
    ...more: never[]
  ) => Promise<unknown>;
}

/**
 * Wraps an MCP server that is given to an agent as `mcpServers`: its tools are made by the framework
 * at run time, so the server is where to ask.
 *
 * @returns The same server, whose `callTool` and `callToolResult` ask first.
 */
export function guardMcpServer<Server extends OpenAiMcpServer>(
  guard: Guard,
  server: Server,
  { on_refusal = "answer" }: RefusalOptions = {},
): Server {
  const guarded = (method: unknown, whenRefused: (text: string) => unknown) => {
    if (typeof method !== "function") return undefined;
    return async (tool: string, args: unknown, ...more: unknown[]): Promise<unknown> => {
      try {
        const asked = args ?? {};
        const allowed = await guard.beforeTool({ tool, source: "mcp", args: asked });
        const given = allowed === asked ? args : allowed;
        const run = () => Reflect.apply(method, server, [tool, given, ...more]);
        const result = await resultOf(guard, { tool, source: "mcp" }, run);
        return await guard.afterTool({ tool, source: "mcp", result });
      } catch (error) {
        if (on_refusal === "throw") throw error;
        return whenRefused(messageOf(error));
      }
    };
  };
  return overridden<Server>(server, {
    callTool: guarded(server.callTool, (text) => [{ type: "text", text }]),
    callToolResult: guarded(
      Reflect.get(server, "callToolResult"),
      (text) => ({ content: [{ type: "text", text }], isError: true }),
    ),
  });
}

/** What the adapter reads of a model of the framework. */
export interface OpenAiModel {
  /** A whole answer. */
  readonly getResponse: (request: never) => Promise<unknown>;
  /** An answer as it comes. */
  readonly getStreamedResponse: (request: never) => AsyncIterable<unknown>;
}

/**
 * Wraps a model: the policy is asked before each call, streamed or not.
 *
 * @param name What the policy knows the model by; a model of the framework need not carry its name.
 */
export function guardModel<Model extends OpenAiModel>(
  guard: Guard,
  model: Model,
  name: string = modelName(model),
): Model {
  const ask = async (request: unknown): Promise<void> => {
    const { input, systemInstructions, signal } = Object(request);
    await guard.beforeModel({
      model: name,
      prompt_tokens: estimatedTokens([systemInstructions ?? "", input ?? ""]),
      ...signalOf({ signal }),
    });
  };
  const getResponse = async (request: unknown): Promise<unknown> => {
    await ask(request);
    return await Reflect.apply(model.getResponse, model, [request]);
  };
  async function* getStreamedResponse(request: unknown): AsyncGenerator<unknown> {
    await ask(request);
    yield* Reflect.apply(model.getStreamedResponse, model, [request]) as AsyncIterable<unknown>;
  }
  return overridden<Model>(model, { getResponse, getStreamedResponse });
}

/** What the adapter reads of a model provider of the framework. */
export interface OpenAiModelProvider {
  /** A model by its name. */
  readonly getModel: (name?: string) => OpenAiModel | Promise<OpenAiModel>;
}

/** Wraps a model provider, for agents that name their model: every model it gives asks first. */
export function guardModelProvider<Provider extends OpenAiModelProvider>(
  guard: Guard,
  provider: Provider,
): Provider {
  const getModel = async (name?: string): Promise<OpenAiModel> => {
    const model = await provider.getModel(name);
    return guardModel(guard, model, name ?? modelName(model));
  };
  return overridden<Provider>(provider, { getModel });
}

function modelName(model: object): string {
  for (const key of ["model", "_model", "name"]) {
    const name: unknown = Reflect.get(model, key);
    if (typeof name === "string" && name !== "") return name;
  }
  return "unknown";
}

/** Arguments come as the model wrote them; what is no JSON is judged as the text it is. */
function parsed(input: string): unknown {
  try {
    return JSON.parse(input);
  } catch {
    return input;
  }
}

function textOf(args: unknown): string {
  return typeof args === "string" ? args : JSON.stringify(args);
}

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null;
}

function signalOf(
  details: { readonly signal?: unknown } | undefined,
): { readonly signal?: AbortSignal } {
  return details?.signal instanceof AbortSignal ? { signal: details.signal } : {};
}
