/**
 * The worst case of one call, and the least an agent's own word can bring it to.
 *
 * @module
 */
import { type Action, LLM_CALL_TOOL } from "../action.ts";
import { type Amount, amount, ZERO } from "./amount.ts";
import { LEDGER_LIMITS } from "./limits.ts";
import type { Pricing } from "./pricing.ts";

/** What a caller says its call takes at most. Absent: not said. */
export interface DeclaredMost {
  readonly output_tokens?: number;
  readonly wall_ms?: number;
}

/** How a call is to be priced. */
export interface PricingTerms {
  /** The caller settles, so that its worst case may be set aside and given back. */
  readonly settles: boolean;
  readonly declared: DeclaredMost;
  /** Highest `assumed_output_tokens` of the documents; absent when none states one. */
  readonly assumed_output_tokens?: number;
  /** Some document limits wall time. */
  readonly wall_limited: boolean;
  /** Price of the tool, from the documents; micro-dollars. */
  readonly tool_micro_usd: number;
}

/** What a call is charged. */
export interface CallPrice {
  readonly worst: Amount;
  /** The contract's price: the estimate of the prompt (§6.1, §6.4). */
  readonly estimate: Amount;
  /** `model:` and a row of the pricing table, or `tool:` and its name: for statements. */
  readonly what: string;
}

/** Before the name of a row in {@linkcode CallPrice.what}. */
export const MODEL_PREFIX = "model:";

/** A model call as its caller describes it. */
export interface ModelCall {
  readonly model: string;
  readonly prompt_tokens: number;
}

/**
 * The model call in an action: the wire's own form, else what the arguments of a tool call of that
 * name say; `undefined` for any other action.
 */
export function modelCallOf(action: Action): ModelCall | undefined {
  if (action.kind !== "tool_call") return undefined;
  if (action.llm !== undefined) return action.llm;
  if (action.tool !== LLM_CALL_TOOL) return undefined;
  let args: unknown;
  try {
    args = JSON.parse(action.args);
  } catch {
    args = undefined;
  }
  const { model, prompt_tokens } = (typeof args === "object" ? args ?? {} : {}) as Record<
    string,
    unknown
  >;
  return {
    model: typeof model === "string" ? model : "",
    prompt_tokens: typeof prompt_tokens === "number" ? prompt_tokens : 0,
  };
}

/**
 * Prices one tool or model call.
 *
 * @returns `undefined` when a count is no whole number or a price is past the bound: the call is
 * refused by name.
 */
export function priceCall(
  pricing: Pricing,
  action: Action,
  terms: PricingTerms,
): CallPrice | undefined {
  if (action.kind !== "tool_call") return { worst: ZERO, estimate: ZERO, what: "" };
  const call = modelCallOf(action);
  if (call === undefined) {
    const price = amount({ micro_usd: terms.tool_micro_usd, calls: 1 });
    return { worst: price, estimate: price, what: `tool:${action.tool}` };
  }
  const stated = call.prompt_tokens;
  const prompt = stated <= 0 ? LEDGER_LIMITS.assumed_prompt_tokens : stated;
  // A caller's word may raise what a policy assumes; it never lowers it (design law 6).
  const output = Math.max(
    terms.declared.output_tokens ?? (terms.settles ? LEDGER_LIMITS.assumed_output_tokens : 0),
    terms.assumed_output_tokens ?? 0,
  );
  const wall = Math.max(
    terms.declared.wall_ms ?? 0,
    terms.wall_limited && !(terms.settles && terms.declared.wall_ms !== undefined)
      ? LEDGER_LIMITS.assumed_wall_ms
      : 0,
  );
  const least = pricing.cost(call.model, { input: prompt, output: 0, cached: 0 });
  const most = pricing.cost(call.model, { input: prompt, output, cached: 0 });
  if (least === undefined || most === undefined) return undefined;
  const tool = terms.tool_micro_usd;
  return {
    worst: { micro_usd: most + tool, tokens: prompt + output, calls: 1, wall_ms: wall },
    estimate: { micro_usd: least + tool, tokens: prompt, calls: 1, wall_ms: 0 },
    what: `${MODEL_PREFIX}${pricing.match(call.model).model}`,
  };
}
