/**
 * Vercel AI SDK: tools that ask before they run, and a language-model middleware that asks before a
 * model is called. Structural types only: the framework is not imported.
 *
 * ```ts ignore
 * const tools = guardTools(guard, { readFile, sendMail });
 * const model = wrapLanguageModel({ model: provider("m"), middleware: guardModel(guard, { tools }) });
 * await generateText({ model, tools, prompt });
 * ```
 *
 * A denial is thrown inside the tool, which the framework turns into the tool error that the model
 * reads. Tools that stream (`async function*`) go on streaming, each value shown to the policy.
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

const SOURCE = "vercel-ai";

/** What the adapter reads of a tool of the framework. */
export interface AiSdkTool {
  /** `provider` for tools of a provider's making. */
  readonly type?: string | undefined;
  /** Whether the provider runs it. */
  readonly isProviderExecuted?: boolean | undefined;
  /** Runs it here. Parameter types vary with each tool; `never` accepts them all. */
  readonly execute?: ((input: never, options: never) => unknown) | undefined;
}

/** What the adapter reads of the options a tool is run with. */
interface ExecuteOptions {
  readonly abortSignal?: AbortSignal;
}

type Execute = (input: unknown, options?: ExecuteOptions) => unknown;

/** Options of {@linkcode guardTools}. */
export interface GuardToolsOptions extends UnguardedTools {
  /**
   * Tools that stream although their `execute` is no `async function*` but a function that returns an
   * async iterable. The framework wants to know at once whether a tool streams, before the answer
   * of the policy is there. A tool that streams without being known gives its last value only.
   *
   * @default none
   */
  readonly streaming?: readonly string[];
}

/** The wrapped tools, by identity: what {@linkcode guardModel} may let the model be offered. */
const GUARDED = new WeakSet<object>();

/**
 * Wraps each tool, so that the policy is asked with its name and arguments before it runs, and with
 * its result before the model reads it.
 *
 * @returns A record of the same names and types. The originals stay unguarded: hand out only these.
 * @throws {UnguardableToolError} for a tool that runs at the provider or without `execute`.
 */
export function guardTools<Tools extends Readonly<Record<string, AiSdkTool>>>(
  guard: Guard,
  tools: Tools,
  options: GuardToolsOptions = {},
): Tools {
  const guarded = Object.entries(tools).map(([name, tool]) =>
    [name, guardedTool(guard, name, tool, options)] as const
  );
  // Names and types are those of `tools`; only `execute` differs, with the same signature.
  return Object.fromEntries(guarded) as unknown as Tools;
}

function guardedTool(
  guard: Guard,
  name: string,
  tool: AiSdkTool,
  { unguarded = [], streaming = [] }: GuardToolsOptions,
): AiSdkTool {
  if (typeof tool.execute !== "function" || tool.isProviderExecuted === true) {
    if (unguarded.includes(name)) return tool;
    throw new UnguardableToolError(
      name,
      tool.isProviderExecuted === true
        ? "it runs at the model's provider"
        : "it has no `execute` and runs in another program",
    );
  }
  const execute = tool.execute.bind(tool) as Execute;
  const streams = streaming.includes(name) || isAsyncGeneratorFunction(tool.execute);
  const wrapped = withOverrides(tool, {
    execute: streams
      ? (input: unknown, options?: ExecuteOptions) => stream(guard, name, execute, input, options)
      : (input: unknown, options?: ExecuteOptions) => run(guard, name, execute, input, options),
  });
  GUARDED.add(wrapped);
  return wrapped;
}

async function run(
  guard: Guard,
  tool: string,
  execute: Execute,
  input: unknown,
  options: ExecuteOptions | undefined,
): Promise<unknown> {
  const about = { tool, source: SOURCE, ...signalOf(options) };
  const args = await guard.beforeTool({ ...about, args: input });
  let result: unknown;
  try {
    result = await execute(args, options);
    if (isAsyncIterable(result)) {
      // Too late to stream: the framework has a promise. It would take the last value too.
      const values = result;
      result = undefined;
      for await (const value of values) result = value;
    }
  } catch (error) {
    throw await shownFailure(guard, about, error);
  }
  return await guard.afterTool({ ...about, result });
}

async function* stream(
  guard: Guard,
  tool: string,
  execute: Execute,
  input: unknown,
  options: ExecuteOptions | undefined,
): AsyncGenerator<unknown> {
  const about = { tool, source: SOURCE, ...signalOf(options) };
  const args = await guard.beforeTool({ ...about, args: input });
  const values = valuesOf(execute, args, options);
  const shown = (error: unknown) => shownFailure(guard, about, error);
  for await (const value of failingAs(values, shown)) {
    yield await guard.afterTool({ ...about, result: value });
  }
}

async function* valuesOf(
  execute: Execute,
  args: unknown,
  options: ExecuteOptions | undefined,
): AsyncGenerator<unknown> {
  const result = await execute(args, options);
  if (isAsyncIterable(result)) yield* result;
  else yield result;
}

async function* failingAs(
  values: AsyncIterable<unknown>,
  shown: (error: unknown) => Promise<unknown>,
): AsyncGenerator<unknown> {
  try {
    yield* values;
  } catch (error) {
    throw await shown(error);
  }
}

/** Options of {@linkcode guardModel}. */
export interface GuardModelOptions extends UnguardedTools {
  /** What {@linkcode guardTools} returned: tools of the provider's making that run here, guarded. */
  readonly tools?: Readonly<Record<string, AiSdkTool>>;
}

/** A tool as the model is offered it. */
export interface OfferedTool {
  /** `function` or `provider`. */
  readonly type: string;
  /** Name by which the model calls it. */
  readonly name: string;
}

/** What the middleware reads of a model call. */
export interface ModelParams {
  /** The messages. */
  readonly prompt?: unknown;
  /** What the model may call. */
  readonly tools?: readonly OfferedTool[] | undefined;
  /** Ends the call. */
  readonly abortSignal?: AbortSignal | undefined;
}

/** A result that the provider reports of a tool it ran itself. */
interface ReportedResult {
  readonly type: "tool-result";
  readonly toolName: string;
  readonly result: unknown;
}

/** The framework's language-model middleware, as far as this adapter uses it. */
export interface AiSdkMiddleware {
  /** The framework's version of middlewares. */
  readonly specificationVersion: "v4";
  /** Asks, then lets the model answer. */
  readonly wrapGenerate: <Result>(call: {
    readonly doGenerate: () => PromiseLike<Result>;
    readonly params: ModelParams;
    readonly model: { readonly modelId: string };
  }) => Promise<Result>;
  /** Asks, then lets the model stream. */
  readonly wrapStream: <Result>(call: {
    readonly doStream: () => PromiseLike<Result>;
    readonly params: ModelParams;
    readonly model: { readonly modelId: string };
  }) => Promise<Result>;
}

/**
 * A middleware for `wrapLanguageModel`: asks before each model call, refuses to offer the model tools
 * that its provider would run, and cuts secrets out of what such a tool is reported to have answered.
 *
 * @throws {UnguardableToolError} from the model call, when a provider's tool is offered that is
 * neither guarded nor named in `unguarded`.
 */
export function guardModel(guard: Guard, options: GuardModelOptions = {}): AiSdkMiddleware {
  const ask = async (params: ModelParams, model: string): Promise<void> => {
    for (const tool of params.tools ?? []) refuseUnguarded(tool, options);
    await guard.beforeModel({
      model,
      prompt_tokens: estimatedTokens(params.prompt),
      ...signalOf(params),
    });
  };
  return {
    specificationVersion: "v4",
    async wrapGenerate({ doGenerate, params, model }) {
      await ask(params, model.modelId);
      const answer = await doGenerate();
      return await withCheckedContent(guard, answer);
    },
    async wrapStream({ doStream, params, model }) {
      await ask(params, model.modelId);
      return withCheckedStream(guard, await doStream());
    },
  };
}

function refuseUnguarded(
  { type, name }: OfferedTool,
  { tools = {}, unguarded = [] }: GuardModelOptions,
): void {
  if (type !== "provider" || unguarded.includes(name)) return;
  const own = Object.hasOwn(tools, name) ? tools[name] : undefined;
  if (own !== undefined && GUARDED.has(own)) return;
  throw new UnguardableToolError(name, "the model's provider may run it");
}

async function withCheckedContent<Result>(guard: Guard, answer: Result): Promise<Result> {
  const content = (answer as { content?: unknown }).content;
  if (!Array.isArray(content) || !content.some(isReportedResult)) return answer;
  const checked = await Promise.all(content.map((part) => checkedPart(guard, part)));
  return { ...answer, content: checked };
}

function withCheckedStream<Result>(guard: Guard, answer: Result): Result {
  const parts = (answer as { stream?: unknown }).stream;
  if (!(parts instanceof ReadableStream)) return answer;
  const checking = new TransformStream<unknown, unknown>({
    async transform(part, controller) {
      controller.enqueue(await checkedPart(guard, part));
    },
  });
  return { ...answer, stream: parts.pipeThrough(checking) };
}

async function checkedPart(guard: Guard, part: unknown): Promise<unknown> {
  if (!isReportedResult(part)) return part;
  try {
    const { toolName: tool, result } = part;
    const shown = await guard.afterTool({ tool, source: SOURCE, result });
    return shown === result ? part : { ...part, result: shown };
  } catch (error) {
    return { ...part, result: messageOf(error), isError: true };
  }
}

function isReportedResult(part: unknown): part is ReportedResult {
  return typeof part === "object" && part !== null && "type" in part &&
    part.type === "tool-result" && "toolName" in part && "result" in part;
}

function isAsyncIterable(value: unknown): value is AsyncIterable<unknown> {
  return typeof value === "object" && value !== null && Symbol.asyncIterator in value;
}

const ASYNC_GENERATOR = Object.getPrototypeOf(async function* () {}).constructor;

function isAsyncGeneratorFunction(value: unknown): boolean {
  return value instanceof ASYNC_GENERATOR;
}

function signalOf(
  options: { readonly abortSignal?: AbortSignal | undefined } | undefined,
): { readonly signal?: AbortSignal } {
  const signal = options?.abortSignal;
  return signal === undefined ? {} : { signal };
}
