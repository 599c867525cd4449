/**
 * `aasm budget summary | forecast | tree | pricing`, `aasm cost summary | forecast | tree`.
 *
 * @module
 */
import { ledger } from "../../proto/mod.ts";
import type { CommandNamed } from "../arguments/parse.ts";
import { CommandError, ExitCode } from "../exit_code.ts";
import { withGateway } from "../gateway_connection.ts";
import type { Tone } from "../render/color.ts";
import { utcText } from "../render/moment.ts";
import { rateText, usdData, usdText } from "../render/money.ts";
import { printable } from "../render/printable.ts";
import { type Data, writeReport } from "../render/report.ts";
import { MISSING, table } from "../render/table.ts";
import type { Session } from "../session.ts";

const WARN_PCT = 80;
const DANGER_PCT = 95;

/** `budget summary`. */
export async function summarizeBudgets(
  { scope, id }: CommandNamed<"budget summary">,
  session: Session,
): Promise<ExitCode> {
  const rows = await allRows(session, scope ?? "", id ?? "");
  writeReport(
    {
      data: rows.map(rowData),
      table: (terminal) =>
        table(
          [
            { title: "SCOPE" },
            { title: "NAME" },
            { title: "WINDOW" },
            { title: "SPENT", align: "right" },
            { title: "RESERVED", align: "right" },
            { title: "LIMIT", align: "right" },
            { title: "LEFT", align: "right" },
            { title: "USED", align: "right", tone: usedTone },
            { title: "ENDS" },
            { title: "RULE" },
          ],
          rows.map((row) => [
            row.scope,
            row.name,
            windowText(row),
            amountText(row, row.spent),
            amountText(row, row.reserved),
            row.limit === undefined ? MISSING : amountText(row, row.limit),
            row.remaining === undefined ? MISSING : amountText(row, row.remaining),
            row.percentUsed === undefined ? MISSING : `${row.percentUsed} %`,
            utcText(row.windowEndsAtUnixMs),
            row.rule,
          ]),
          terminal,
        ),
    },
    session.flags.output,
    session.terminal,
  );
  return ExitCode.OK;
}

/** `cost summary`: one row an agent, team or organisation, dearest first, then the totals. */
export async function summarizeCosts(
  { period, group_by }: CommandNamed<"cost summary">,
  session: Session,
): Promise<ExitCode> {
  const spent = spendOf(await allRows(session, group_by, ""));
  const by = period === "today" ? "daily" : "monthly";
  spent.sort((a, b) => a[by] === b[by] ? (a.id < b.id ? -1 : 1) : a[by] > b[by] ? -1 : 1);
  const total = (key: "daily" | "monthly") => spent.reduce((sum, one) => sum + one[key], 0n);
  const [daily, monthly] = [total("daily"), total("monthly")];
  writeReport(
    {
      data: {
        daily_spend_usd: usdData(daily),
        monthly_spend_usd: usdData(monthly),
        [`per_${group_by}`]: spent.map((one) => ({
          [`${group_by}_id`]: one.name,
          daily_spend_usd: usdData(one.daily),
          monthly_spend_usd: usdData(one.monthly),
        })),
      },
      table: (terminal) =>
        table(
          [
            { title: `${group_by.toUpperCase()}_ID` },
            { title: "DAILY_SPEND", align: "right" },
            { title: "MONTHLY_SPEND", align: "right" },
          ],
          [
            ...spent.map((one) => [one.name, usdText(one.daily), usdText(one.monthly)]),
            ["TOTAL", usdText(daily), usdText(monthly)],
          ],
          terminal,
        ),
    },
    session.flags.output,
    session.terminal,
  );
  return ExitCode.OK;
}

interface Spend {
  readonly id: string;
  readonly name: string;
  daily: bigint;
  monthly: bigint;
}

/** Day and month of each account; of several time zones the most is shown. */
function spendOf(rows: readonly ledger.BudgetRow[]): Spend[] {
  const all = new Map<string, Spend>();
  for (const { orgId, teamId, id, name, window, dimension, spent } of rows) {
    if (dimension !== "micro_usd" || (window !== "daily" && window !== "monthly")) continue;
    const key = `${orgId}/${teamId}/${id}`;
    const one: Spend = all.get(key) ?? { id, name, daily: 0n, monthly: 0n };
    if (spent > one[window]) one[window] = spent;
    all.set(key, one);
  }
  return [...all.values()];
}

/** `budget forecast`, `cost forecast`. */
export async function forecastBudgets(
  { scope, id }: CommandNamed<"budget forecast" | "cost forecast">,
  session: Session,
): Promise<ExitCode> {
  const { rows, method } = await withGateway(
    session,
    async (gateway) =>
      await gateway.client(ledger.LedgerService).getForecast(
        { scope: scope ?? "", id: id ?? "" },
        await gateway.operator(),
      ),
  );
  writeReport(
    {
      data: { method, rows: rows.map(forecastData) },
      table: (terminal) => {
        const drawn = table(
          [
            { title: "SCOPE" },
            { title: "NAME" },
            { title: "MONTH SO FAR", align: "right" },
            { title: "PER DAY", align: "right" },
            { title: "AT MONTH'S END", align: "right" },
            { title: "LIMIT", align: "right" },
            { title: "REACHED", tone: (cell) => cell === MISSING ? undefined : "bad" },
          ],
          rows.map((row) => [
            row.scope,
            row.name,
            usdText(row.spentMicroUsd),
            usdText(row.dailyRateMicroUsd),
            usdText(row.projectedMicroUsd),
            row.limitMicroUsd === undefined ? MISSING : usdText(row.limitMicroUsd),
            row.limitReachedAtUnixMs === undefined ? MISSING : utcText(row.limitReachedAtUnixMs),
          ]),
          terminal,
        );
        return `${drawn}method: ${printable(method)}\n`;
      },
    },
    session.flags.output,
    session.terminal,
  );
  return ExitCode.OK;
}

/** `budget tree`, `cost tree`. */
export async function showBudgetTree(
  { org }: CommandNamed<"budget tree" | "cost tree">,
  session: Session,
): Promise<ExitCode> {
  const { roots, omitted } = await withGateway(
    session,
    async (gateway) =>
      await gateway.client(ledger.LedgerService).getBudgetTree(
        { orgId: org ?? "" },
        await gateway.operator(),
      ),
  );
  writeReport(
    {
      data: { roots: roots.map(nodeData), omitted },
      table: (terminal) => {
        const rows: string[][] = [];
        for (const root of roots) addNode(root, "", "", rows);
        const drawn = table(
          [
            { title: "NODE" },
            { title: "KIND" },
            { title: "OWN TODAY", align: "right" },
            { title: "ALL TODAY", align: "right" },
            { title: "LIMIT", align: "right" },
            { title: "ALL MONTH", align: "right" },
            { title: "LIMIT", align: "right" },
          ],
          rows,
          terminal,
        );
        return omitted === 0 ? drawn : `${drawn}${omitted} more are not shown: name one --org\n`;
      },
    },
    session.flags.output,
    session.terminal,
  );
  return ExitCode.OK;
}

function addNode(node: ledger.BudgetNode, lead: string, below: string, rows: string[][]): void {
  rows.push([
    `${lead}${node.label}`,
    node.kind,
    node.kind === "agent" ? usdText(node.ownDailyMicroUsd) : "",
    usdText(node.subtreeDailyMicroUsd),
    node.dailyLimitMicroUsd === undefined ? "" : usdText(node.dailyLimitMicroUsd),
    usdText(node.subtreeMonthlyMicroUsd),
    node.monthlyLimitMicroUsd === undefined ? "" : usdText(node.monthlyLimitMicroUsd),
  ]);
  for (const [at, child] of node.children.entries()) {
    const last = at === node.children.length - 1;
    addNode(child, `${below}${last ? "└ " : "├ "}`, `${below}${last ? "  " : "│ "}`, rows);
  }
}

/** `budget pricing`. */
export async function showPricing(session: Session): Promise<ExitCode> {
  const { version, models, unknown } = await withGateway(
    session,
    async (gateway) =>
      await gateway.client(ledger.LedgerService).getPricing({}, await gateway.operator()),
  );
  const all = unknown === undefined ? models : [...models, unknown];
  writeReport(
    {
      data: {
        version,
        models: models.map(modelData),
        unknown: unknown === undefined ? null : modelData(unknown),
      },
      table: (terminal) => {
        const drawn = table(
          [
            { title: "MODEL" },
            { title: "PROVIDER" },
            { title: "IN / 1K", align: "right" },
            { title: "OUT / 1K", align: "right" },
            { title: "CACHED / 1K", align: "right" },
          ],
          all.map((row) => [
            row.model,
            row.provider,
            rateText(row.inputPicoUsd),
            rateText(row.outputPicoUsd),
            rateText(row.cachedInputPicoUsd),
          ]),
          terminal,
        );
        return `${drawn}version: ${printable(version)}; unknown: any other model\n`;
      },
    },
    session.flags.output,
    session.terminal,
  );
  return ExitCode.OK;
}

/** Every row, page by page. */
async function allRows(
  session: Session,
  scope: string,
  id: string,
): Promise<ledger.BudgetRow[]> {
  return await withGateway(session, async (gateway) => {
    const rows: ledger.BudgetRow[] = [];
    let pageToken = "";
    do {
      const answer = await gateway.client(ledger.LedgerService).getBudgets(
        { scope, id, pageToken },
        await gateway.operator(),
      );
      if (answer.state === "unavailable") {
        throw new CommandError(
          `the budget ledger is unavailable: ${answer.detail}`,
          ExitCode.FAILURE,
          "priced calls are denied meanwhile; see `aasm status`",
        );
      }
      rows.push(...answer.rows);
      pageToken = answer.rows.length === 0 ? "" : answer.nextPageToken;
    } while (pageToken !== "");
    return rows;
  });
}

function windowText({ window, zone, days, windowMs }: ledger.BudgetRow): string {
  switch (window) {
    case "rolling":
      return `${days} days ${zone}`;
    case "short":
      return `every ${windowMs} ms`;
    default:
      return zone === "UTC" ? window : `${window} ${zone}`;
  }
}

function amountText({ dimension }: ledger.BudgetRow, amount: bigint): string {
  switch (dimension) {
    case "micro_usd":
      return `${usdText(amount)} USD`;
    case "wall_ms":
      return `${amount} ms`;
    default:
      return `${amount} ${dimension}`;
  }
}

function usedTone(cell: string): Tone | undefined {
  const percent = Number.parseInt(cell, 10);
  if (percent >= DANGER_PCT) return "bad";
  return percent >= WARN_PCT ? "caution" : undefined;
}

function rowData(row: ledger.BudgetRow): Data {
  return {
    scope: row.scope,
    id: row.id,
    name: row.name,
    org_id: row.orgId,
    team_id: row.teamId,
    window: row.window,
    zone: row.zone,
    ...(row.days === 0 ? {} : { days: row.days }),
    ...(row.windowMs === 0n ? {} : { window_ms: row.windowMs }),
    dimension: row.dimension,
    spent: row.spent,
    reserved: row.reserved,
    limit: row.limit ?? null,
    remaining: row.remaining ?? null,
    percent_used: row.percentUsed ?? null,
    window_ends_at_unix_ms: row.windowEndsAtUnixMs,
    rule: row.rule,
    policy_doc_id: row.policyDocId,
  };
}

function forecastData(row: ledger.ForecastRow): Data {
  return {
    scope: row.scope,
    id: row.id,
    name: row.name,
    spent_usd: usdData(row.spentMicroUsd),
    daily_rate_usd: usdData(row.dailyRateMicroUsd),
    projected_usd: usdData(row.projectedMicroUsd),
    limit_usd: row.limitMicroUsd === undefined ? null : usdData(row.limitMicroUsd),
    limit_reached_at_unix_ms: row.limitReachedAtUnixMs ?? null,
    window_ends_at_unix_ms: row.windowEndsAtUnixMs,
    zone: row.zone,
  };
}

function nodeData(node: ledger.BudgetNode): Data {
  const { dailyLimitMicroUsd, monthlyLimitMicroUsd } = node;
  return {
    id: node.id,
    kind: node.kind,
    label: node.label,
    depth: node.depth,
    own_spend_usd: usdData(node.ownDailyMicroUsd),
    own_monthly_spend_usd: usdData(node.ownMonthlyMicroUsd),
    subtree_spend_usd: usdData(node.subtreeDailyMicroUsd),
    subtree_monthly_spend_usd: usdData(node.subtreeMonthlyMicroUsd),
    budget_limit_usd: dailyLimitMicroUsd === undefined ? null : usdData(dailyLimitMicroUsd),
    monthly_budget_limit_usd: monthlyLimitMicroUsd === undefined
      ? null
      : usdData(monthlyLimitMicroUsd),
    children: node.children.map(nodeData),
  };
}

function modelData(row: ledger.PricedModel): Data {
  return {
    provider: row.provider,
    model: row.model,
    input_per_1k_usd: rateText(row.inputPicoUsd),
    output_per_1k_usd: rateText(row.outputPicoUsd),
    cached_input_per_1k_usd: rateText(row.cachedInputPicoUsd),
  };
}
