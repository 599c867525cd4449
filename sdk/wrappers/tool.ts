/**
 * Tools and functions that are asked about before they run.
 *
 * @module
 */
import { describeAct } from "../act.ts";
import { ConfigurationError, CredentialLeakBlockedError } from "../errors.ts";
import type { GovernedAgent, ToolCallOptions } from "../governed_agent.ts";

/** Tools by name. Each has an `execute` or an `invoke` that takes its arguments first. */
export type ToolMap = Record<string, object>;

/** Options of {@linkcode withAssembly}. */
export interface WithAssemblyOptions extends Omit<ToolCallOptions, "signal" | "operation"> {
  /** Who asks: what `initAssembly()` or `govern()` returned. */
  readonly context: GovernedAgent;
}

/** Methods by which tools are run. */
const RUN_METHODS = ["execute", "invoke"] as const;

/** Whose tools were wrapped already, by tool; a second wrap would ask twice. */
const WRAPPED = new WeakMap<object, GovernedAgent>();

/**
 * Governs every tool of a map, in place, and returns the map: each call is asked about first and its
 * answer before it is returned. A tool is known to policy by its own `name`, else by its key.
 *
 * @throws {ConfigurationError} when a tool cannot be governed; then no tool of the map was changed.
 */
export function withAssembly<T extends ToolMap>(tools: T, options: WithAssemblyOptions): T {
  const { context, ...call } = options;
  requireMap(tools);
  const plans = Object.entries(tools).map(([key, tool]) => planOf(key, tool, context));
  for (const plan of plans) plan?.(call);
  return tools;
}

/** What does not show its tools by `Object.entries` would pass with none of them governed. */
function requireMap(tools: object): void {
  const prototype: object | null = Object.getPrototypeOf(tools);
  const plain = prototype === null || Object.getPrototypeOf(prototype) === null;
  if (!plain && !Array.isArray(tools)) {
    throw new ConfigurationError(
      "tools are expected as a plain object or a list: in a `Map` or a class instance none of them " +
        "would be found, so none governed",
    );
  }
  for (const [key, { value }] of Object.entries(Object.getOwnPropertyDescriptors(tools))) {
    if (Array.isArray(tools) && key === "length") continue;
    if (typeof value !== "object" && typeof value !== "function" || value === null) {
      throw new ConfigurationError(
        `tool \`${key}\` is no object of the map itself: it cannot be governed in place`,
      );
    }
  }
}

type Plan = (call: Omit<WithAssemblyOptions, "context">) => void;

function planOf(key: string, tool: object, agent: GovernedAgent): Plan | undefined {
  const owner = WRAPPED.get(tool);
  if (owner === agent) return undefined;
  if (owner !== undefined) {
    throw new ConfigurationError(`tool \`${key}\` is governed for another agent already`);
  }
  const name: unknown = Reflect.get(tool, "name");
  const known_as = typeof name === "string" && name !== "" ? name : key;
  const methods = RUN_METHODS.filter((one) => typeof Reflect.get(tool, one) === "function");
  if (methods.length === 0) {
    throw new ConfigurationError(
      `tool \`${key}\` has no \`execute\` and no \`invoke\`: nothing of it can be governed, so leave ` +
        "it out of the map or use the adapter of its framework",
    );
  }
  for (const method of methods) {
    const own = Object.getOwnPropertyDescriptor(tool, method);
    if (own === undefined ? !Object.isExtensible(tool) : own.configurable !== true) {
      throw new ConfigurationError(
        `tool \`${key}\` is frozen: its \`${method}\` cannot be governed in place; pass a copy`,
      );
    }
  }
  return (call) => {
    for (const method of methods) {
      const run: (...args: unknown[]) => unknown = Reflect.get(tool, method);
      const governed = (args: unknown, ...rest: unknown[]): Promise<unknown> =>
        agent.callTool(
          known_as,
          args,
          (allowed) => Reflect.apply(run, tool, [allowed, ...rest]),
          call,
        );
      Object.defineProperty(tool, method, {
        value: governed,
        configurable: true,
        enumerable: true,
        writable: true,
      });
    }
    WRAPPED.set(tool, agent);
  };
}

/** Options of {@linkcode wrapFunction}. */
export interface WrapFunctionOptions<A extends readonly unknown[]>
  extends Omit<ToolCallOptions, "signal" | "operation"> {
  /** Name that policy knows the function by. @default the function's own name */
  readonly tool?: string;
  /**
   * What to judge, for arguments that are no plain data, or to give them names that a policy can
   * speak of. The function then gets its arguments as passed, and is refused where policy would have
   * redacted them.
   */
  readonly describe?: (...args: A) => unknown;
}

/**
 * Governs one function: it is asked about under its name with its arguments as a list.
 *
 * @throws {ConfigurationError} when the function has no name and none is given.
 */
export function wrapFunction<A extends readonly unknown[], R>(
  agent: GovernedAgent,
  run: (...args: A) => R | Promise<R>,
  options: WrapFunctionOptions<A> = {},
): (...args: A) => Promise<R> {
  const { tool = run.name, describe, ...call } = options;
  if (tool === "") throw new ConfigurationError("a function without a name: give it as `tool`");
  if (describe === undefined) {
    return (...args) => agent.callTool(tool, args, (allowed) => run(...allowed as A), call);
  }
  return async (...args) => {
    const { act, redactions } = await agent.check({
      kind: "tool_call",
      tool,
      args: describe(...args),
      ...(call.source === undefined ? {} : { source: call.source }),
    });
    if (redactions.length > 0) {
      const kinds = redactions.map(({ kind }) => kind);
      throw new CredentialLeakBlockedError({
        act: describeAct(act),
        reason: `${kinds.join(", ")} cannot be cut out of arguments that are described`,
        policy_rule: "",
        changes: [{ text: "pass plain data instead of a described value", who: "developer" }],
      }, kinds);
    }
    let result: R;
    try {
      result = await run(...args);
    } catch (error) {
      throw await agent.checkFailure(tool, error, call);
    }
    return call.result === "unchecked" ? result : await agent.checkResult(tool, result, call) as R;
  };
}
