/**
 * What an adapter needs of the SDK: to ask before a tool or a model is called, and to show a tool's
 * result before the model sees it. Nothing here knows a framework or a wire.
 *
 * @module
 */

import { readThrown, shownThrown } from "../thrown.ts";

/** One call of a tool, as a framework is about to make it. */
export interface ToolCall {
  /** Name by which the model called it; the policy's `tools` section goes by it. */
  readonly tool: string;
  /** Arguments as the model gave them, plain data. */
  readonly args: unknown;
  /** Where the tool comes from: `mcp`, `langchain`. A label in the record, never a reason to allow. */
  readonly source?: string;
  /** Ends the waiting when the framework gives the call up. */
  readonly signal?: AbortSignal;
}

/** What a tool answered, before the model sees it. */
export interface ToolOutcome {
  /** Name by which the model called it. */
  readonly tool: string;
  /** What it answered, or the message of the error it threw. */
  readonly result: unknown;
  /** As of the call. */
  readonly source?: string;
  /** As of the call. */
  readonly signal?: AbortSignal;
}

/** One call of a language model, as a framework is about to make it. */
export interface ModelCall {
  /** The provider's name for it. */
  readonly model: string;
  /** An estimate: the provider counts only afterwards. */
  readonly prompt_tokens: number;
  /** Ends the waiting when the framework gives the call up. */
  readonly signal?: AbortSignal;
}

/**
 * Who is asked. Every method waits while a call is held for approval, and rejects with an error
 * whose message names the rule and the next step when the call may not happen, for whatever reason:
 * a denial, a rejected or expired approval, a decision that could not be had.
 */
export interface Guard {
  /**
   * Asks before a tool runs.
   *
   * @returns What the tool may get: `call.args` itself when nothing was cut out of them, otherwise a
   * copy with labels in place of what must not leave.
   */
  beforeTool(call: ToolCall): Promise<unknown>;
  /**
   * Asks before a tool's result reaches the model.
   *
   * @returns What the model may get: `outcome.result` itself, or a copy with labels.
   */
  afterTool(outcome: ToolOutcome): Promise<unknown>;
  /** Asks before a model is called. */
  beforeModel(call: ModelCall): Promise<void>;
}

/** Which tools an adapter leaves alone although it cannot stop them. */
export interface UnguardedTools {
  /**
   * Names of tools that run where nothing can be asked before them: at the model's provider, or in
   * another process. Naming one here accepts that; without it the adapter refuses the tool.
   *
   * @default none
   */
  readonly unguarded?: readonly string[];
}

/** A tool was handed to an adapter that could not stop it. Thrown before the agent starts. */
export class UnguardableToolError extends Error {
  /** Tells this error from others without its class. */
  override readonly name = "UnguardableToolError";
  /** The tool's name. */
  readonly tool: string;

  /**
   * What cannot be stopped, and why.
   *
   * @param tool Its name.
   * @param why Where it runs, as a clause: `it runs at the model's provider`.
   */
  constructor(tool: string, why: string) {
    super(
      `cannot guard tool \`${tool}\`: ${why}, so nothing can be asked before it acts; leave it out, ` +
        `or accept that by naming it in \`unguarded\``,
    );
    this.tool = tool;
  }
}

/** A rough count, four characters to a token: an estimate is what the policy gets. */
export function estimatedTokens(prompt: unknown): number {
  const text = typeof prompt === "string" ? prompt : JSON.stringify(prompt, omitBytes) ?? "";
  return Math.max(1, Math.ceil(text.length / 4));
}

/** Pictures and files are not text; their bytes say nothing about tokens. */
function omitBytes(_key: string, value: unknown): unknown {
  return ArrayBuffer.isView(value) || typeof value === "bigint" ? undefined : value;
}

/**
 * What may be thrown in place of a tool's own error: models read the messages of errors as well.
 *
 * @returns The error itself, or another whose message holds labels in place of what was cut out.
 * @throws what {@linkcode Guard.afterTool} throws.
 */
export async function shownFailure(
  guard: Guard,
  call: Omit<ToolOutcome, "result">,
  error: unknown,
): Promise<unknown> {
  // Nobody waits for the answer any more, so nobody reads the message.
  if (call.signal?.aborted === true) return error;
  const thrown = readThrown(error);
  const { data } = thrown;
  // Frameworks show messages; logs, and frameworks of what is no error, show the rest as well.
  if (data.more.length > 0) {
    return shownThrown(error, thrown, await guard.afterTool({ ...call, result: data }));
  }
  if (data.message === "") return error;
  const shown = await guard.afterTool({ ...call, result: data.message });
  return shown === data.message && thrown.complete ? error : new Error(String(shown));
}

/** A message for the model in place of a result. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/**
 * A copy of an object with some properties replaced: symbols, getters and the prototype stay, so
 * that a framework still recognises its own.
 */
export function withOverrides<T extends object>(original: T, overrides: object): T {
  const copy: T = Object.create(
    Object.getPrototypeOf(original),
    Object.getOwnPropertyDescriptors(original),
  );
  for (const key of Reflect.ownKeys(overrides)) {
    const value: unknown = Reflect.get(overrides, key);
    Object.defineProperty(copy, key, {
      value,
      writable: true,
      enumerable: true,
      configurable: true,
    });
  }
  return copy;
}
