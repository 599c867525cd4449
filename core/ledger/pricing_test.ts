/** Prices of model calls: exact, rounded up, and never cheap for want of knowledge. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { llmCall } from "../action.ts";
import { priceCall, type PricingTerms } from "./call_price.ts";
import { LEDGER_LIMITS } from "./limits.ts";
import { DEFAULT_PRICING, picoPerToken, Pricing } from "./pricing.ts";
import { readPricing } from "./pricing_file.ts";

const PROMPT = { input: 1_000, output: 0, cached: 0 };

const REFERENCE_CLIENT: PricingTerms = {
  settles: false,
  declared: {},
  wall_limited: false,
  tool_micro_usd: 0,
};

Deno.test("the reference's rates, per thousand tokens", () => {
  const both = { input: 1_000, output: 1_000, cached: 0 };
  assert.equal(DEFAULT_PRICING.cost("gpt-4o", both), 20_000);
  assert.equal(DEFAULT_PRICING.cost("GPT-4o-2024-08", both), 20_000);
  assert.equal(DEFAULT_PRICING.cost("gpt-4-turbo", both), 90_000);
  assert.equal(DEFAULT_PRICING.cost("gpt-35-turbo", both), 2_000);
  assert.equal(DEFAULT_PRICING.cost("claude-3-opus", both), 90_000);
  assert.equal(DEFAULT_PRICING.cost("claude-3.5-sonnet", both), 18_000);
  assert.equal(DEFAULT_PRICING.cost("claude-3-haiku", both), 1_500);
  assert.equal(DEFAULT_PRICING.cost("command-r+", both), 18_000);
  assert.equal(DEFAULT_PRICING.cost("command-r", both), 2_000);
});

Deno.test("an unknown model costs the dearest known rate of each column", () => {
  assert.deepEqual(DEFAULT_PRICING.match("in-house-7b"), {
    model: "unknown",
    known: false,
    rates: {
      input_pico_usd: 30_000_000,
      output_pico_usd: 75_000_000,
      cached_pico_usd: 30_000_000,
    },
  });
  assert.equal(DEFAULT_PRICING.cost("", { input: 1_000, output: 1_000, cached: 0 }), 105_000);
});

Deno.test("a fraction of a micro-dollar is a whole one", () => {
  assert.equal(DEFAULT_PRICING.cost("haiku", { input: 1, output: 0, cached: 0 }), 1);
  assert.equal(DEFAULT_PRICING.cost("haiku", { input: 4, output: 0, cached: 0 }), 1);
  assert.equal(DEFAULT_PRICING.cost("haiku", { input: 5, output: 0, cached: 0 }), 2);
});

Deno.test("a count that is no whole number from zero has no price", () => {
  for (const input of [NaN, Infinity, -1, 0.5, 2 ** 53]) {
    assert.equal(DEFAULT_PRICING.cost("gpt-4o", { ...PROMPT, input }), undefined, String(input));
  }
});

Deno.test("a price past the bound on one amount is refused", () => {
  assert.equal(DEFAULT_PRICING.cost("opus", { ...PROMPT, input: 2 ** 50 }), undefined);
});

Deno.test("prices never fall when tokens are added, and two halves cost at least the whole", () => {
  const tokens = fc.integer({ min: 0, max: 1_000_000 });
  const models = fc.constantFrom("gpt-4o", "haiku", "unheard-of", "command-r");
  fc.assert(fc.property(models, tokens, tokens, tokens, (model, a, b, output) => {
    const price = (input: number) =>
      DEFAULT_PRICING.cost(model, { input, output, cached: 0 }) ?? NaN;
    assert.ok(price(a + b) >= price(a));
    assert.ok(price(a) + price(b) >= price(a + b));
  }));
});

Deno.test("a rate is a decimal of at most nine places", () => {
  assert.equal(picoPerToken("0.00025"), 250_000);
  assert.equal(picoPerToken("0"), 0);
  for (const text of ["-1", "+1", "1e3", ".5", "", " 1", "0x1", "0.0000000001", "99999999"]) {
    assert.equal(picoPerToken(text), undefined, text);
  }
});

function fileOf(...rows: unknown[]): string {
  return JSON.stringify({ version: "2026-11", models: rows });
}

const MINI = {
  provider: "open_ai",
  model: "gpt-4o-mini",
  input_per_1k_usd: "0.00015",
  output_per_1k_usd: "0.0006",
  cached_input_per_1k_usd: "0.000075",
};

function pricingOf(...rows: unknown[]): Pricing {
  const read = readPricing(fileOf(...rows));
  assert.ok(read.ok, JSON.stringify(read));
  return read.pricing;
}

Deno.test("rows of a file lie over the defaults, and the longest name decides", () => {
  const pricing = pricingOf(MINI, { ...MINI, model: "GPT4", input_per_1k_usd: "1" });
  assert.equal(pricing.version, "2026-11");
  assert.equal(pricing.match("openai/gpt-4o-mini-2024").model, "gpt-4o-mini");
  assert.equal(pricing.match("gpt-4o").model, "gpt4o");
  assert.equal(pricing.cost("gpt-4-0613", PROMPT), 1_000_000);
  assert.equal(pricing.cost("gpt-4o-mini", { input: 0, output: 0, cached: 1_000 }), 75);
  assert.equal(pricing.cost("unknown-model", PROMPT), 1_000_000, "the dearest column follows");
});

Deno.test("a short name of the file never takes a longer built-in one over", () => {
  const pricing = pricingOf({ ...MINI, model: "gpt", input_per_1k_usd: "0" });
  assert.equal(pricing.match("gpt-4o").model, "gpt4o");
  assert.equal(pricing.match("gpt-5").model, "gpt");
});

Deno.test("a pricing file in the reference's form is read", () => {
  const { cached_input_per_1k_usd: _, ...row } = MINI;
  const read = readPricing(JSON.stringify([row]));
  assert.ok(read.ok);
  assert.equal(read.pricing.cost("gpt-4o-mini", { input: 0, output: 0, cached: 1_000 }), 150);
});

Deno.test("a bad pricing file is refused with the place and what was expected", () => {
  const cases: readonly [string, RegExp][] = [
    ["{", /^not JSON/],
    ["7", /must be an object/],
    [JSON.stringify({ version: "1" }), /`models` must be a list/],
    [JSON.stringify({ models: [] }), /`version` must be a text/],
    [JSON.stringify({ version: "1", models: [], extra: 1 }), /unknown key `extra`/],
    [fileOf({ ...MINI, input_per_1k_usd: 0.1 }), /models\[0\]: `input_per_1k_usd` must be/],
    [fileOf({ ...MINI, output_per_1k_usd: "-1" }), /`output_per_1k_usd` must be/],
    [fileOf({ ...MINI, output_per_1k_usd: "NaN" }), /`output_per_1k_usd` must be/],
    [fileOf({ ...MINI, model: "g" }), /`model` must be a text of at least 3/],
    [fileOf({ ...MINI, price: "1" }), /unknown key `price`/],
    [fileOf(MINI, { ...MINI, model: "GPT-4o-Mini" }), /models\[1\]: `gpt-4o-mini` is priced twice/],
  ];
  for (const [text, expected] of cases) {
    const read = readPricing(text);
    assert.ok(!read.ok, text);
    assert.match(read.problem, expected);
  }
});

Deno.test("who never settles pays the estimate of the prompt, and a prompt of nothing is 1000 tokens", () => {
  const price = (tokens: number) =>
    priceCall(DEFAULT_PRICING, llmCall("gpt-4o", tokens, false), REFERENCE_CLIENT);
  assert.deepEqual(price(2_000)?.worst, { micro_usd: 10_000, tokens: 2_000, calls: 1, wall_ms: 0 });
  for (const tokens of [0, -5]) assert.equal(price(tokens)?.worst.micro_usd, 5_000);
  assert.equal(price(NaN), undefined);
});

Deno.test("a settling caller reserves the answer too, and its word never lowers a policy's", () => {
  const call = llmCall("gpt-4o", 1_000, false);
  const worst = (terms: Partial<PricingTerms>) =>
    priceCall(DEFAULT_PRICING, call, { ...REFERENCE_CLIENT, ...terms })?.worst;
  assert.equal(worst({ settles: true })?.tokens, 1_000 + LEDGER_LIMITS.assumed_output_tokens);
  assert.equal(worst({ settles: true, declared: { output_tokens: 10 } })?.tokens, 1_010);
  assert.equal(
    worst({ settles: true, declared: { output_tokens: 10 }, assumed_output_tokens: 500 })?.tokens,
    1_500,
  );
  assert.equal(worst({ assumed_output_tokens: 500 })?.tokens, 1_500);
  assert.equal(worst({ wall_limited: true })?.wall_ms, LEDGER_LIMITS.assumed_wall_ms);
  assert.equal(
    worst({ wall_limited: true, declared: { wall_ms: 1 } })?.wall_ms,
    LEDGER_LIMITS.assumed_wall_ms,
  );
});

Deno.test("a model call in disguise is priced like one", () => {
  const call = (args: string) =>
    priceCall(DEFAULT_PRICING, { kind: "tool_call", tool: "llm_call", args }, REFERENCE_CLIENT);
  assert.equal(call('{"model":"gpt-4o","prompt_tokens":2000}')?.worst.micro_usd, 10_000);
  for (const args of ["", "null", "[", '{"model":7,"prompt_tokens":"9"}']) {
    assert.equal(call(args)?.worst.micro_usd, 30_000, "an unknown model, a thousand tokens");
  }
});
