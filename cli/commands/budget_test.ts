import assert from "node:assert/strict";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import type { ServiceHandlers } from "../../grpc/mod.ts";
import { ledger } from "../../proto/mod.ts";
import { type FakeGateway, fakeGateway } from "../testing/fake_gateway.ts";
import { NOW_MS, runCli } from "../testing/run_cli.ts";

/** A gateway that serves the ledger alone. */
function ledgerGateway(
  handlers: Partial<ServiceHandlers<typeof ledger.LedgerService>>,
): Promise<FakeGateway> {
  return fakeGateway({ serve: (server) => server.addService(ledger.LedgerService, handlers) });
}

function row(
  name: string,
  window: string,
  spent: bigint,
  more: MessageInitShape<typeof ledger.BudgetRowSchema> = {},
): MessageInitShape<typeof ledger.BudgetRowSchema> {
  return {
    ...{ scope: "agent", id: name, name, window, zone: "UTC", dimension: "micro_usd", spent },
    windowEndsAtUnixMs: BigInt(NOW_MS),
    ...more,
  };
}

Deno.test("budget summary shows each limit with what is left, page by page", async () => {
  const tokens: string[] = [];
  await using gateway = await ledgerGateway({
    getBudgets: ({ scope, id, pageToken }) => {
      tokens.push(`${scope} ${id} ${pageToken}`);
      const limited = row("researcher-1", "daily", 850_000n, {
        ...{ limit: 1_000_000n, remaining: 150_000n, percentUsed: 85, rule: "p.yaml:3 budget.x" },
      });
      const tokens_row = row("other", "rolling", 7n, { days: 7, dimension: "tokens" });
      return create(ledger.GetBudgetsResponseSchema, {
        rows: [pageToken === "" ? limited : tokens_row],
        nextPageToken: pageToken === "" ? "next" : "",
        state: "enforcing",
      });
    },
  });
  const { code, out } = await runCli([
    ...gateway.flags,
    ...["budget", "summary", "--scope", "agent", "--id", "researcher-1"],
  ]);
  assert.equal(code, 0);
  assert.deepEqual(tokens, ["agent researcher-1 ", "agent researcher-1 next"]);
  assert.match(out, /SCOPE +NAME +WINDOW +SPENT +RESERVED +LIMIT +LEFT +USED +ENDS +RULE/);
  assert.match(out, /researcher-1 +daily +0\.85 USD +0\.00 USD +1\.00 USD +0\.15 USD +85 %/);
  assert.match(out, /other +7 days UTC +7 tokens/);
});

Deno.test("budget summary says that the ledger is unavailable, and why", async () => {
  await using gateway = await ledgerGateway({
    getBudgets: () =>
      create(ledger.GetBudgetsResponseSchema, { state: "unavailable", detail: "it is damaged" }),
  });
  const { code, err } = await runCli([...gateway.flags, "budget", "summary"]);
  assert.equal(code, 1);
  assert.match(err, /ledger is unavailable: it is damaged/);
});

Deno.test("cost summary lists the dearest first and ends with the totals", async () => {
  await using gateway = await ledgerGateway({
    getBudgets: ({ scope }) => {
      assert.equal(scope, "agent");
      return create(ledger.GetBudgetsResponseSchema, {
        rows: [
          row("a", "daily", 1_000_000n),
          row("a", "monthly", 9_000_000n),
          row("b", "daily", 2_500_000n),
          row("b", "monthly", 2_500_000n),
        ],
      });
    },
  });
  const { out } = await runCli([...gateway.flags, "cost", "summary"]);
  const lines = out.trim().split("\n").map((line) => line.trim().split(/ +/).join(" "));
  assert.deepEqual(lines, [
    "AGENT_ID DAILY_SPEND MONTHLY_SPEND",
    "b 2.50 2.50",
    "a 1.00 9.00",
    "TOTAL 3.50 11.50",
  ]);
  const month = await runCli([
    ...gateway.flags,
    ...["--output", "json", "cost", "summary", "--period", "month"],
  ]);
  const data = JSON.parse(month.out);
  assert.equal(data.monthly_spend_usd, "11.500000");
  assert.deepEqual(data.per_agent.map((one: { agent_id: string }) => one.agent_id), ["a", "b"]);
});

Deno.test("forecast shows when the limit is reached, and by which method", async () => {
  await using gateway = await ledgerGateway({
    getForecast: ({ scope }) =>
      create(ledger.GetForecastResponseSchema, {
        method: "linear",
        rows: [{
          ...{ scope: scope || "global", id: "global", name: "global", zone: "UTC" },
          spentMicroUsd: 10_000_000n,
          dailyRateMicroUsd: 1_000_000n,
          projectedMicroUsd: 30_000_000n,
          limitMicroUsd: 20_000_000n,
          limitReachedAtUnixMs: BigInt(Date.UTC(2026, 3, 21)),
        }],
      }),
  });
  for (const group of ["budget", "cost"]) {
    const { out } = await runCli([...gateway.flags, group, "forecast"]);
    assert.match(out, /global +global +10\.00 +1\.00 +30\.00 +20\.00 +2026-04-21/);
    assert.match(out, /method: linear/);
  }
});

Deno.test("the tree draws organisations, teams and agents", async () => {
  await using gateway = await ledgerGateway({
    getBudgetTree: ({ orgId }) =>
      create(ledger.GetBudgetTreeResponseSchema, {
        roots: [{
          ...{ id: orgId, kind: "org", label: orgId, subtreeDailyMicroUsd: 5_000_000n },
          children: [{
            ...{ id: "t1", kind: "team", label: "t1", subtreeDailyMicroUsd: 5_000_000n },
            children: [{
              ...{ id: "k", kind: "agent", label: "researcher-1" },
              ownDailyMicroUsd: 3_000_000n,
              subtreeDailyMicroUsd: 5_000_000n,
              dailyLimitMicroUsd: 9_000_000n,
            }],
          }],
        }],
        omitted: 2,
      }),
  });
  const { out } = await runCli([...gateway.flags, "budget", "tree", "--org", "acme"]);
  assert.match(out, /acme +org/);
  assert.match(out, /└ t1 +team/);
  assert.match(out, / {2}└ researcher-1 +agent +3\.00 +5\.00 +9\.00/);
  assert.match(out, /2 more are not shown/);
});

Deno.test("prices are shown per thousand tokens, the unknown model's last", async () => {
  await using gateway = await ledgerGateway({
    getPricing: () =>
      create(ledger.GetPricingResponseSchema, {
        version: "2026-11",
        models: [{ provider: "anthropic", model: "claude3haiku", inputPicoUsd: 250_000n }],
        unknown: { model: "unknown", inputPicoUsd: 30_000_000n },
      }),
  });
  const { out } = await runCli([...gateway.flags, "budget", "pricing"]);
  assert.match(out, /claude3haiku +anthropic +0\.00025/);
  assert.match(out, /unknown +- +0\.03/);
  assert.match(out, /version: 2026-11/);
});
