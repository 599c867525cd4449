/**
 * A pricing file: `{"version": "2026-11", "models": [row, …]}`, or the reference's bare list of
 * rows. A row is `{provider, model, input_per_1k_usd, output_per_1k_usd, cached_input_per_1k_usd?}`,
 * rates as decimal texts. Rows are laid over the defaults.
 *
 * The reference ignores a file it cannot read; here the gateway does not start on one (trap of
 * contract `policy-and-gateway` §6.1: prices would silently be others than the operator's).
 *
 * @module
 */
import { LEDGER_LIMITS } from "./limits.ts";
import { picoPerToken, type PricedModel, Pricing } from "./pricing.ts";

/** What came of reading. */
export type PricingRead =
  | { readonly ok: true; readonly pricing: Pricing }
  | { readonly ok: false; readonly problem: string };

const FILE_KEYS = ["version", "models"];
const ROW_KEYS = [
  "provider",
  "model",
  "input_per_1k_usd",
  "output_per_1k_usd",
  "cached_input_per_1k_usd",
];
/** A shorter name would be part of names nobody meant. */
const MODEL_CHARS_MIN = 3;
const TEXT_CHARS_MAX = 256;

/**
 * Reads a pricing file.
 *
 * @param text JSON.
 */
export function readPricing(text: string): PricingRead {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch (error) {
    return refuse(`not JSON: ${error instanceof Error ? error.message : String(error)}`);
  }
  if (Array.isArray(parsed)) return readRows("unversioned", parsed);
  if (!isObject(parsed)) return refuse("must be an object with `version` and `models`");
  const unknown = Object.keys(parsed).find((key) => !FILE_KEYS.includes(key));
  if (unknown !== undefined) return refuse(`unknown key \`${unknown}\`: expected version, models`);
  const { version, models } = parsed;
  if (!isName(version)) return refuse("`version` must be a text, e.g. `2026-11`");
  if (!Array.isArray(models)) return refuse("`models` must be a list of rows");
  return readRows(version, models);
}

function readRows(version: string, rows: readonly unknown[]): PricingRead {
  if (rows.length > LEDGER_LIMITS.pricing_models) {
    return refuse(`\`models\` has ${rows.length} rows, at most ${LEDGER_LIMITS.pricing_models}`);
  }
  const models = new Map<string, PricedModel>();
  for (const [at, row] of rows.entries()) {
    const read = readRow(row);
    if (typeof read === "string") return refuse(`models[${at}]: ${read}`);
    if (models.has(read.model)) return refuse(`models[${at}]: \`${read.model}\` is priced twice`);
    models.set(read.model, read);
  }
  return { ok: true, pricing: new Pricing(version, [...models.values()]) };
}

function readRow(row: unknown): PricedModel | string {
  if (!isObject(row)) return "must be an object";
  const unknown = Object.keys(row).find((key) => !ROW_KEYS.includes(key));
  if (unknown !== undefined) return `unknown key \`${unknown}\`: expected ${ROW_KEYS.join(", ")}`;
  const { provider, model } = row;
  if (!isName(provider)) return "`provider` must be a text, e.g. `open_ai`";
  if (!isName(model) || model.length < MODEL_CHARS_MIN) {
    return `\`model\` must be a text of at least ${MODEL_CHARS_MIN} characters`;
  }
  const input_pico_usd = rate(row["input_per_1k_usd"]);
  if (input_pico_usd === undefined) return badRate("input_per_1k_usd");
  const output_pico_usd = rate(row["output_per_1k_usd"]);
  if (output_pico_usd === undefined) return badRate("output_per_1k_usd");
  const cached = row["cached_input_per_1k_usd"];
  const cached_pico_usd = cached === undefined ? input_pico_usd : rate(cached);
  if (cached_pico_usd === undefined) return badRate("cached_input_per_1k_usd");
  return {
    provider,
    model: model.toLowerCase(),
    input_pico_usd,
    output_pico_usd,
    cached_pico_usd,
  };
}

function badRate(key: string): string {
  return `\`${key}\` must be a decimal text of US dollars from 0, at most nine places, e.g. "0.005"`;
}

function rate(value: unknown): number | undefined {
  return typeof value === "string" ? picoPerToken(value) : undefined;
}

function isName(value: unknown): value is string {
  return typeof value === "string" && value !== "" && value.length <= TEXT_CHARS_MAX;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function refuse(problem: string): PricingRead {
  return { ok: false, problem };
}
