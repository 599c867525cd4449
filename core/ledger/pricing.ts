/**
 * What a model call costs (contract `policy-and-gateway` §6.1). Rates are exact: a table states
 * decimals per thousand tokens, and a price is rounded up to the micro-dollar once, at the end.
 *
 * A name nobody knows is priced at the dearest known rate of each column, so that an unknown model
 * is never the cheap one.
 *
 * @module
 */
import { LEDGER_LIMITS } from "./limits.ts";

/** Rates of one model, in pico-dollars (10^-12) per token: exact for nine decimals per thousand. */
export interface ModelRates {
  readonly input_pico_usd: number;
  readonly output_pico_usd: number;
  /** Prompt tokens that the provider had cached. */
  readonly cached_pico_usd: number;
}

/** One row of a table. */
export interface PricedModel extends ModelRates {
  readonly provider: string;
  /** Lower case. Matches a model text that is equal to it, or contains it. */
  readonly model: string;
}

/** Tokens of one call; whole numbers from 0. */
export interface TokenCount {
  /** Prompt tokens, cached ones not among them. */
  readonly input: number;
  readonly output: number;
  readonly cached: number;
}

/** How a model text was understood. */
export interface ModelMatch {
  /** Row whose rates apply; `unknown` for the dearest rate of each column. */
  readonly model: string;
  readonly rates: ModelRates;
  readonly known: boolean;
}

const PICO_PER_MICRO = 1_000_000n;

/** The reference's defaults, per thousand tokens: provider, model, input, output (contract §6.1). */
const DEFAULT_ROWS: readonly (readonly [string, string, string, string])[] = [
  ["open_ai", "gpt4o", "0.005", "0.015"],
  ["open_ai", "gpt4", "0.03", "0.06"],
  ["open_ai", "gpt35turbo", "0.0005", "0.0015"],
  ["anthropic", "claude3opus", "0.015", "0.075"],
  ["anthropic", "claude3sonnet", "0.003", "0.015"],
  ["anthropic", "claude3haiku", "0.00025", "0.00125"],
  ["cohere", "command_r_plus", "0.003", "0.015"],
  ["cohere", "command_r", "0.0005", "0.0015"],
];

/** Texts that name a default row, in the contract's order: the first one contained decides. */
const INFERENCE: readonly (readonly [string, string])[] = [
  ["gpt-4o", "gpt4o"],
  ["gpt-3.5", "gpt35turbo"],
  ["gpt-35", "gpt35turbo"],
  ["gpt-4", "gpt4"],
  ["opus", "claude3opus"],
  ["sonnet", "claude3sonnet"],
  ["haiku", "claude3haiku"],
  ["command-r-plus", "command_r_plus"],
  ["command-r+", "command_r_plus"],
  ["command-r", "command_r"],
];

/** Version of the built-in table. */
export const DEFAULT_PRICING_VERSION = "built-in";

/** The reference's own rows; cached prompt tokens cost what others cost. */
export const DEFAULT_MODELS: readonly PricedModel[] = DEFAULT_ROWS.map(
  ([provider, model, input, output]) => {
    const input_pico_usd = picoPerToken(input) ?? 0;
    const output_pico_usd = picoPerToken(output) ?? 0;
    return { provider, model, input_pico_usd, output_pico_usd, cached_pico_usd: input_pico_usd };
  },
);

/**
 * A rate per thousand tokens, in US dollars, as pico-dollars per token.
 *
 * @param text A decimal of at most nine places, e.g. `0.00025`; no sign, no exponent.
 * @returns `undefined` for anything else, and for rates of a thousand dollars a token and more.
 */
export function picoPerToken(text: string): number | undefined {
  const match = /^(\d{1,7})(?:\.(\d{1,9}))?$/.exec(text);
  if (match === null) return undefined;
  const [, whole = "", fraction = ""] = match;
  const pico = Number(whole + fraction.padEnd(9, "0"));
  return Number.isSafeInteger(pico) ? pico : undefined;
}

/** A table of prices. Immutable. */
export class Pricing {
  readonly version: string;
  /** In the order of the table; a row of the file replaces the default of its name. */
  readonly models: readonly PricedModel[];
  /** The dearest rate of each column. */
  readonly dearest: ModelRates;
  readonly #by_name: ReadonlyMap<string, PricedModel>;
  /** Rows that are not defaults, longest name first. */
  readonly #added: readonly PricedModel[];

  constructor(version: string, rows: readonly PricedModel[] = []) {
    const by_name = new Map(DEFAULT_MODELS.map((row) => [row.model, row]));
    for (const row of rows) by_name.set(row.model, row);
    this.version = version;
    this.models = [...by_name.values()];
    this.#by_name = by_name;
    const defaults = new Set(DEFAULT_MODELS.map((row) => row.model));
    this.#added = this.models.filter((row) => !defaults.has(row.model))
      .toSorted((a, b) => b.model.length - a.model.length || (a.model < b.model ? -1 : 1));
    const highest = (column: keyof ModelRates) =>
      this.models.reduce((most, row) => Math.max(most, row[column]), 0);
    this.dearest = {
      input_pico_usd: highest("input_pico_usd"),
      output_pico_usd: highest("output_pico_usd"),
      cached_pico_usd: highest("cached_pico_usd"),
    };
  }

  /**
   * Which row a model text means: the row of exactly that name, else the longest name it contains,
   * upper and lower case alike; among the contract's own words the contract's order decides.
   */
  match(model: string): ModelMatch {
    const text = model.toLowerCase();
    const exact = this.#by_name.get(text);
    if (exact !== undefined) return known(exact);
    const added = this.#added.find((row) => text.includes(row.model));
    const [word, key] = INFERENCE.find(([part]) => text.includes(part)) ?? [];
    const inferred = key === undefined ? undefined : this.#by_name.get(key);
    if (added !== undefined && added.model.length >= (word?.length ?? 0)) return known(added);
    if (inferred !== undefined) return known(inferred);
    return { model: "unknown", rates: this.dearest, known: false };
  }

  /**
   * Price in micro-dollars, rounded up.
   *
   * @returns `undefined` when a count is not a whole number from 0, or the price is past the bound
   * on one amount: such a call is refused, never priced at a guess.
   */
  cost(model: string, tokens: TokenCount): number | undefined {
    const counts = [tokens.input, tokens.output, tokens.cached];
    if (counts.some((count) => !Number.isSafeInteger(count) || count < 0)) return undefined;
    const { rates } = this.match(model);
    const pico = BigInt(tokens.input) * BigInt(rates.input_pico_usd) +
      BigInt(tokens.output) * BigInt(rates.output_pico_usd) +
      BigInt(tokens.cached) * BigInt(rates.cached_pico_usd);
    const micro = (pico + PICO_PER_MICRO - 1n) / PICO_PER_MICRO;
    return micro <= BigInt(LEDGER_LIMITS.amount_units) ? Number(micro) : undefined;
  }
}

function known(row: PricedModel): ModelMatch {
  return { model: row.model, rates: row, known: true };
}

/** The reference's table. */
export const DEFAULT_PRICING: Pricing = new Pricing(DEFAULT_PRICING_VERSION);
