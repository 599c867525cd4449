/**
 * LangChain.js and LangGraph: tools that ask before they run, and chat models that ask before they are
 * called. Structural types only: the framework is not imported. Callbacks would not do: they are told
 * of a call, they cannot stop it.
 *
 * ```ts ignore
 * const tools = guardTools(guard, [search, sendMail]);
 * const agent = createReactAgent({ llm: guardModel(guard, model), tools });
 * ```
 *
 * A denial is thrown by the tool. `ToolNode` turns it into the tool message that the model reads.
 * Arguments are redacted before callbacks see them, results before the tool's message is made.
 *
 * @module
 */
import {
  estimatedTokens,
  type Guard,
  shownFailure,
  UnguardableToolError,
  type UnguardedTools,
  withOverrides,
} from "./guard.ts";

const SOURCE = "langchain";

/** What the adapter reads of a tool: anything the framework can `invoke` by a name. */
export interface LangChainTool {
  /** Name by which the model calls it. */
  readonly name: string;
  /** Runs it. Parameter types vary with each tool; `never` accepts them all. */
  readonly invoke: (input: never, config?: never) => Promise<unknown>;
}

/** A tool call as the framework hands it to `invoke`. */
interface ToolCallInput {
  readonly type: "tool_call";
  readonly args: unknown;
}

type Invoke = (input: unknown, config?: unknown, ...more: unknown[]) => Promise<unknown>;

/**
 * Wraps each tool of a list, as {@linkcode guardTool} does.
 *
 * @throws {UnguardableToolError} for what has no `invoke`: a tool that the model's provider runs.
 */
export function guardTools<Tool extends object>(
  guard: Guard,
  tools: readonly Tool[],
  options: UnguardedTools = {},
): Tool[] {
  return tools.map((tool) => {
    if (isInvocable(tool)) return guardTool(guard, tool);
    const name = nameOf(tool);
    if (options.unguarded?.includes(name) === true) return tool;
    throw new UnguardableToolError(name, "it runs at the model's provider");
  });
}

/**
 * Wraps one tool: the policy is asked with its name and arguments before it runs, and with its result
 * before the model reads it.
 *
 * @returns A tool of the same class. The original stays unguarded: hand out only this one.
 */
export function guardTool<Tool extends LangChainTool>(guard: Guard, tool: Tool): Tool {
  const about = { tool: tool.name, source: SOURCE };
  const guarded = (method: "invoke" | "call"): Invoke => async (input, config, ...more) => {
    const signal = signalOf(config);
    const args = isToolCall(input) ? input.args : input;
    const allowed = await guard.beforeTool({ ...about, args, ...signal });
    const given = isToolCall(input) ? { ...input, args: allowed } : allowed;
    const show = (result: unknown) => guard.afterTool({ ...about, result, ...signal });
    const fail = (error: unknown) => shownFailure(guard, { ...about, ...signal }, error);
    const once = withCheckedResult(tool, show, fail);
    let result: unknown;
    try {
      result = await (Reflect.get(once.tool, method) as Invoke)
        .call(once.tool, given, config, ...more);
    } catch (error) {
      throw once.checked() ? error : await fail(error);
    }
    // A tool that does not go through `_call` has shown its result to nobody yet.
    return once.checked() ? result : await checkedResult(result, show);
  };
  // The framework's methods look the overrides up on the object they are called on; everything else
  // is the original's, whose own methods go on working on the original.
  const wrapped: Tool = Object.create(tool);
  override(wrapped, "invoke", guarded("invoke"));
  if (typeof Reflect.get(tool, "call") === "function") override(wrapped, "call", guarded("call"));
  return wrapped;
}

type Show = (result: unknown) => Promise<unknown>;
/** What may be thrown in place of an error. */
type Fail = (error: unknown) => Promise<unknown>;

/** The tool for one call: its answer is shown to the policy before the framework makes a message. */
function withCheckedResult<Tool extends object>(
  tool: Tool,
  show: Show,
  fail: Fail,
): { readonly tool: Tool; readonly checked: () => boolean } {
  const inner: unknown = Reflect.get(tool, "_call");
  if (typeof inner !== "function") return { tool, checked: () => false };
  let checked = false;
  const once: Tool = Object.create(tool);
  override(once, "_call", async (...input: unknown[]) => {
    checked = true;
    let raw: unknown;
    try {
      raw = await Reflect.apply(inner, tool, input);
    } catch (error) {
      throw await fail(error);
    }
    if (isAsyncGenerator(raw)) return checkedGenerator(raw, show, fail);
    const format: unknown = Reflect.get(tool, "responseFormat");
    if (format === "content_and_artifact" && Array.isArray(raw) && raw.length === 2) {
      // The artifact goes to the application, never to the model.
      return [await checkedResult(raw[0], show), raw[1]];
    }
    return await checkedResult(raw, show);
  });
  return { tool: once, checked: () => checked };
}

async function* checkedGenerator(
  raw: AsyncGenerator<unknown>,
  show: Show,
  fail: Fail,
): AsyncGenerator<unknown> {
  const next = async (): Promise<IteratorResult<unknown>> => {
    try {
      return await raw.next();
    } catch (error) {
      throw await fail(error);
    }
  };
  try {
    for (;;) {
      const { done, value } = await next();
      if (done === true) return await checkedResult(value, show);
      yield await checkedResult(value, show);
    }
  } finally {
    await raw.return(undefined);
  }
}

/** A result as the model may read it: of messages and commands, the parts that it would read. */
async function checkedResult(result: unknown, show: Show): Promise<unknown> {
  if (isMessage(result)) {
    const content = await show(result.content);
    return content === result.content ? result : withContent(result, content);
  }
  if (isCommand(result)) {
    const update = await checkedUpdate(result.update, show);
    return update === result.update ? result : withUpdate(result, update);
  }
  return await show(result);
}

/** A message is stored and sent on from what it was made with, so that must change too. */
function withContent(message: object, content: unknown): object {
  const made_with: unknown = Reflect.get(message, "lc_kwargs");
  const rest = typeof made_with === "object" ? { lc_kwargs: { ...made_with, content } } : {};
  return withOverrides(message, { content, ...rest });
}

/** A command keeps what it was made with under a symbol of the framework's. */
function withUpdate(command: object, update: unknown): object {
  const made_with = Object.getOwnPropertySymbols(command).flatMap((key) => {
    const value: unknown = Reflect.get(command, key);
    return typeof value === "object" && value !== null && "update" in value
      ? [[key, { ...value, update }] as const]
      : [];
  });
  return withOverrides(command, { update, ...Object.fromEntries(made_with) });
}

/** What a command writes into the state of the graph, where the model reads its messages. */
async function checkedUpdate(update: unknown, show: Show): Promise<unknown> {
  if (Array.isArray(update)) {
    const shown = await Promise.all(update.map((one) => checkedUpdate(one, show)));
    return shown.every((one, index) => one === update[index]) ? update : shown;
  }
  if (isMessage(update)) return await checkedResult(update, show);
  if (typeof update !== "object" || update === null) return await show(update);
  const prototype: unknown = Object.getPrototypeOf(update);
  if (prototype !== Object.prototype && prototype !== null) return await show(update);
  const entries = Object.entries(update);
  const shown = await Promise.all(
    entries.map(async ([key, value]) => [key, await checkedUpdate(value, show)] as const),
  );
  return shown.every(([, value], index) => value === entries[index]?.[1])
    ? update
    : Object.fromEntries(shown);
}

/** What the adapter reads of a chat model. */
export interface LangChainModel {
  /** Where every call of the framework that is not streamed ends. */
  readonly _generate: (messages: never, options: never, run?: never) => Promise<unknown>;
  /** Where every streamed call ends. */
  readonly _streamResponseChunks?: (
    messages: never,
    options: never,
    run?: never,
  ) => AsyncGenerator<unknown>;
}

/**
 * Wraps a chat model: the policy is asked before each call, streamed or not.
 *
 * @returns A model of the same class; what is bound to it (`bindTools`) stays guarded.
 */
export function guardModel<Model extends LangChainModel>(guard: Guard, model: Model): Model {
  const ask = async (messages: unknown, options: unknown): Promise<void> => {
    await guard.beforeModel({
      model: modelName(model),
      prompt_tokens: estimatedTokens(messages),
      ...signalOf(options),
    });
  };
  const wrapped: Model = Object.create(model);
  override(wrapped, "_generate", async (...call: unknown[]) => {
    await ask(call[0], call[1]);
    return await Reflect.apply(model._generate, model, call);
  });
  const streaming = model._streamResponseChunks;
  if (typeof streaming === "function") {
    override(wrapped, "_streamResponseChunks", async function* (...call: unknown[]) {
      await ask(call[0], call[1]);
      yield* Reflect.apply(streaming, model, call) as AsyncGenerator<unknown>;
    });
  }
  return wrapped;
}

/** Where chat models of the framework keep their name; the class's own kind if nowhere. */
function modelName(model: object): string {
  for (const key of ["model", "modelName", "model_name"]) {
    const name: unknown = Reflect.get(model, key);
    if (typeof name === "string" && name !== "") return name;
  }
  const kind: unknown = Reflect.get(model, "_llmType");
  return typeof kind === "function" ? String(Reflect.apply(kind, model, [])) : "unknown";
}

function override(target: object, key: string, value: unknown): void {
  Object.defineProperty(target, key, { value, writable: true, configurable: true });
}

function isInvocable<Tool extends object>(tool: Tool): tool is Tool & LangChainTool {
  return typeof Reflect.get(tool, "invoke") === "function" &&
    typeof Reflect.get(tool, "name") === "string";
}

function nameOf(tool: object): string {
  const name: unknown = Reflect.get(tool, "name") ?? Reflect.get(tool, "type");
  return typeof name === "string" ? name : "without a name";
}

function isToolCall(input: unknown): input is ToolCallInput {
  return typeof input === "object" && input !== null && "type" in input &&
    input.type === "tool_call" && "args" in input;
}

function isMessage(value: unknown): value is { readonly content: unknown } {
  return typeof value === "object" && value !== null && "content" in value &&
    "lc_namespace" in value;
}

function isCommand(value: unknown): value is { readonly update: unknown } {
  return typeof value === "object" && value !== null && "lg_name" in value &&
    value.lg_name === "Command" && "update" in value;
}

function isAsyncGenerator(value: unknown): value is AsyncGenerator<unknown> {
  return typeof value === "object" && value !== null && Symbol.asyncIterator in value &&
    "next" in value && "return" in value;
}

function signalOf(config: unknown): { readonly signal?: AbortSignal } {
  if (typeof config !== "object" || config === null || !("signal" in config)) return {};
  return config.signal instanceof AbortSignal ? { signal: config.signal } : {};
}
