/**
 * `assembly.admin.v1.LedgerService`: reservations end here, and people read the ledger. Not part of
 * the reference.
 *
 * @module
 */
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { GATEWAY, permits } from "../../core/iam/permits.ts";
import {
  type Amount,
  FORECAST_METHOD,
  type ModelRates,
  OWNER_KINDS,
  type PricedModel,
  type Pricing,
} from "../../core/ledger/mod.ts";
import { type CallContext, Code, GrpcError, type ServiceHandlers } from "../../grpc/mod.ts";
import {
  type BudgetNodeSchema,
  type BudgetRowSchema,
  type ForecastRowSchema,
  GetBudgetsResponseSchema,
  GetBudgetTreeResponseSchema,
  GetForecastResponseSchema,
  GetPricingResponseSchema,
  type LedgerService,
  type PricedModelSchema,
  type QuantitySchema,
  ReleaseReservationResponseSchema,
  SettleReservationResponseSchema,
} from "../../proto/gen/assembly/admin/v1/ledger_pb.ts";
import { StoreError } from "../../storage/sqlite/failure.ts";
import type { AuditLog } from "../audit/log.ts";
import type { Clock } from "../clock.ts";
import type { Counters } from "../counters.ts";
import { governanceEntry } from "../engine/governance.ts";
import type { AuthenticatedOperator, Operators } from "../identity/operators.ts";
import type { Ledger } from "../ledger/ledger.ts";
import { LEDGER_ROOM_LIMITS } from "../ledger/limits.ts";
import {
  release,
  settle,
  type Settlement,
  type Settler,
  type Usage,
} from "../ledger/settlement.ts";
import type { AccountName, StatementRow, Statements, TreeNode } from "../ledger/statement.ts";
import type { Registry } from "../registry/registry.ts";
import { invalid } from "./admin.ts";
import { presentedToken, requireAgent } from "./caller.ts";
import { assertPermitted, requirePermission } from "./operator.ts";

/** The ledger while it can be used. */
export interface OpenLedger {
  readonly ledger: Ledger;
  readonly statements: Statements;
  /** Is told of a reservation that cost something, so that alerts can be looked at. */
  readonly settled: (agent_key: string, now_ms: number) => void;
}

/** What the service needs. */
export interface LedgerServiceDependencies {
  /** Absent while the ledger is unavailable. */
  readonly open: OpenLedger | undefined;
  /** Why it is unavailable now; `undefined` while it works. */
  readonly unavailable: () => string | undefined;
  readonly pricing: Pricing;
  readonly registry: Registry;
  readonly operators: Operators;
  readonly audit: Pick<AuditLog, "append">;
  readonly counters: Counters;
  readonly clock: Clock;
}

/** Handlers of the service. */
export function ledgerHandlers(
  on: LedgerServiceDependencies,
): ServiceHandlers<typeof LedgerService> {
  const reader = (context: CallContext) =>
    requirePermission(context, on.operators, on.counters, "budget.read");
  return {
    settleReservation: async (request, context) => {
      const usage = usageOf(request);
      const { reservationId: id } = request;
      const done = await endReservation(
        on,
        context,
        id,
        (ledger, settler, now_ms) => settle(ledger, id, settler, usage, now_ms),
      );
      return create(SettleReservationResponseSchema, {
        outcome: done.outcome,
        charged: quantity(done.charged),
        reserved: quantity(done.call.amount),
        raisedToEstimate: done.raised_to_estimate,
      });
    },
    releaseReservation: async ({ reservationId: id }, context) => {
      const done = await endReservation(
        on,
        context,
        id,
        (ledger, settler, now_ms) => release(ledger, id, settler, now_ms),
      );
      return create(ReleaseReservationResponseSchema, {
        outcome: done.outcome,
        charged: quantity(done.charged),
      });
    },
    getBudgets: ({ scope, id, pageSize, pageToken }, context) => {
      const operator = reader(context);
      checkScope(scope);
      const detail = on.unavailable();
      const state = detail === undefined ? "enforcing" : "unavailable";
      if (on.open === undefined) {
        return create(GetBudgetsResponseSchema, { state, detail: detail ?? "" });
      }
      const { statements } = on.open;
      const now_ms = on.clock.now_ms();
      const size = pageSize > 0
        ? Math.min(pageSize, LEDGER_ROOM_LIMITS.page_rows)
        : LEDGER_ROOM_LIMITS.page_rows;
      const accounts = visibleAccounts(statements, operator, scope, id);
      const rows: MessageInitShape<typeof BudgetRowSchema>[] = [];
      let next = "";
      const first = startOf(accounts, pageToken);
      for (const account of accounts.slice(first)) {
        if (rows.length >= size) break;
        rows.push(...statements.rowsOf(account, now_ms).map(rowMessage));
        next = account.owner;
      }
      const last = accounts.at(-1)?.owner ?? "";
      return create(GetBudgetsResponseSchema, {
        rows,
        nextPageToken: next === last ? "" : next,
        state,
        detail: detail ?? "",
      });
    },
    getBudgetTree: ({ orgId }, context) => {
      const operator = reader(context);
      const { statements } = opened(on);
      const { roots, omitted } = statements.tree(
        (record) =>
          (orgId === "" || record.org_id === orgId) &&
          permits(operator, "budget.read", tenantOf(record)).ok,
        on.clock.now_ms(),
      );
      return create(GetBudgetTreeResponseSchema, { roots: roots.map(nodeMessage), omitted });
    },
    getForecast: ({ scope, id }, context) => {
      const operator = reader(context);
      checkScope(scope);
      const { statements } = opened(on);
      const now_ms = on.clock.now_ms();
      const wanted = scope === "" && id === "" ? "global" : scope;
      const rows = visibleAccounts(statements, operator, wanted, id)
        .slice(0, LEDGER_ROOM_LIMITS.page_rows)
        .map((account) => forecastMessage(account, statements, now_ms));
      return create(GetForecastResponseSchema, { rows, method: FORECAST_METHOD });
    },
    getPricing: (_request, context) => {
      reader(context);
      const { version, models, dearest } = on.pricing;
      return create(GetPricingResponseSchema, {
        version,
        models: models.map(modelMessage),
        unknown: modelMessage({ provider: "", model: "unknown", ...dearest }),
      });
    },
  };
}

type Ended = Extract<Settlement, { ok: true }>;

/** Ends a reservation and waits until that is on disk. */
async function endReservation(
  on: LedgerServiceDependencies,
  context: CallContext,
  id: string,
  act: (ledger: Ledger, settler: Settler, now_ms: number) => Settlement,
): Promise<Ended> {
  const { ledger, settled } = opened(on);
  const now_ms = on.clock.now_ms();
  const settler = await settlerOf(on, context, ledger, id);
  const done = act(ledger, settler, now_ms);
  if (!done.ok) {
    on.counters.add(`ledger.settlements_refused.${done.refusal.code}`);
    throw new GrpcError(done.refusal.message, CODES[done.refusal.code]);
  }
  settled(done.call.agent_key, now_ms);
  try {
    await done.durable;
  } catch (error) {
    if (!(error instanceof StoreError)) throw error;
    throw new GrpcError(
      `the settlement could not be stored yet: ${error.message}; send it again`,
      Code.UNAVAILABLE,
    );
  }
  return done;
}

const CODES = {
  invalid: Code.INVALID_ARGUMENT,
  not_found: Code.NOT_FOUND,
  not_yours: Code.PERMISSION_DENIED,
  ended: Code.FAILED_PRECONDITION,
} as const;

/**
 * Who ends it: an agent by its token, else an operator who may write budgets. What an operator does
 * is on record before it is done.
 */
async function settlerOf(
  on: LedgerServiceDependencies,
  context: CallContext,
  ledger: Ledger,
  id: string,
): Promise<Settler> {
  if (on.registry.byToken(presentedToken(context.metadata)) !== undefined) {
    const { key } = requireAgent(context, on.registry, on.counters);
    return { kind: "agent", agent_key: key };
  }
  const operator = requirePermission(context, on.operators, on.counters, "budget.write");
  const call = (ledger.state.open.get(id) ?? ledger.state.closed.get(id))?.call;
  const record = call === undefined ? undefined : on.registry.byKey(call.agent_key);
  const target = record === undefined ? GATEWAY : tenantOf(record);
  assertPermitted(operator, on.counters, "budget.write", target);
  const facts = { actor: operator.name, reservation_id: id.slice(0, 64) };
  await on.audit.append(governanceEntry("ledger_reservation_ended", facts, on.clock));
  return { kind: "operator" };
}

function opened(on: LedgerServiceDependencies): OpenLedger {
  const detail = on.unavailable();
  if (on.open !== undefined && detail === undefined) return on.open;
  throw new GrpcError(`budget ledger unavailable: ${detail ?? "unknown"}`, Code.UNAVAILABLE);
}

function usageOf(request: {
  readonly inputTokens: bigint;
  readonly outputTokens: bigint;
  readonly cachedInputTokens: bigint;
  readonly wallMs: bigint;
  readonly microUsd?: bigint | undefined;
}): Usage {
  const count = (field: string, value: bigint) => {
    if (value >= 0n && value <= BigInt(Number.MAX_SAFE_INTEGER)) return Number(value);
    throw invalid(`${field}: must be a whole number from 0, received \`${value}\``);
  };
  const { microUsd } = request;
  return {
    input_tokens: count("input_tokens", request.inputTokens),
    output_tokens: count("output_tokens", request.outputTokens),
    cached_input_tokens: count("cached_input_tokens", request.cachedInputTokens),
    wall_ms: count("wall_ms", request.wallMs),
    ...(microUsd === undefined ? {} : { micro_usd: count("micro_usd", microUsd) }),
  };
}

function checkScope(scope: string): void {
  if (scope === "" || OWNER_KINDS.some((kind) => kind === scope)) return;
  throw invalid(
    `scope: cannot be \`${scope.slice(0, 32)}\`: expected ${OWNER_KINDS.join(", ")} or nothing`,
  );
}

/** Accounts of a scope and id that an operator may see. The fleet's is nobody's tenant. */
function visibleAccounts(
  statements: Statements,
  operator: AuthenticatedOperator,
  scope: string,
  id: string,
): AccountName[] {
  return statements.accounts().filter((account) =>
    (scope === "" || account.scope === scope) &&
    (id === "" || account.id === id || account.name === id) &&
    permits(operator, "budget.read", targetOf(account)).ok
  );
}

function targetOf(account: AccountName): Parameters<typeof permits>[2] {
  return account.org_id === "" && account.team_id === "" ? GATEWAY : tenantOf(account);
}

function tenantOf({ org_id, team_id }: { readonly org_id: string; readonly team_id: string }) {
  return { kind: "tenant" as const, org_id, team_id };
}

/** Where the page after a token starts: after the account it names. */
function startOf(accounts: readonly AccountName[], token: string): number {
  if (token === "") return 0;
  const at = accounts.findIndex(({ owner }) => owner === token);
  if (at < 0) throw invalid("page_token: is of another question: start without one");
  return at + 1;
}

function rowMessage(row: StatementRow): MessageInitShape<typeof BudgetRowSchema> {
  const { window, line } = row;
  return {
    scope: row.scope,
    id: row.id,
    name: row.name,
    orgId: row.org_id,
    teamId: row.team_id,
    window: window.kind,
    zone: window.kind === "short" ? "" : window.zone,
    days: window.kind === "rolling" ? window.days : 0,
    windowMs: BigInt(window.kind === "short" ? window.window_ms : 0),
    dimension: row.dimension,
    spent: BigInt(row.spent),
    reserved: BigInt(row.reserved),
    windowEndsAtUnixMs: BigInt(row.ends_at_ms ?? 0),
    ...(row.limit === undefined ? {} : { limit: BigInt(row.limit) }),
    ...(row.remaining === undefined ? {} : { remaining: BigInt(row.remaining) }),
    ...(row.percent_used === undefined ? {} : { percentUsed: row.percent_used }),
    ...(line === undefined ? {} : {
      rule: `${line.by.document.file}:${line.at.line} budget.${line.path}`,
      policyDocId: line.by.document.digest,
    }),
  };
}

function nodeMessage(node: TreeNode): MessageInitShape<typeof BudgetNodeSchema> {
  const { daily_limit_micro_usd, monthly_limit_micro_usd } = node;
  return {
    id: node.id,
    kind: node.kind,
    label: node.label,
    depth: node.depth,
    ownDailyMicroUsd: BigInt(node.own_daily_micro_usd),
    ownMonthlyMicroUsd: BigInt(node.own_monthly_micro_usd),
    subtreeDailyMicroUsd: BigInt(node.subtree_daily_micro_usd),
    subtreeMonthlyMicroUsd: BigInt(node.subtree_monthly_micro_usd),
    ...(daily_limit_micro_usd === undefined
      ? {}
      : { dailyLimitMicroUsd: BigInt(daily_limit_micro_usd) }),
    ...(monthly_limit_micro_usd === undefined
      ? {}
      : { monthlyLimitMicroUsd: BigInt(monthly_limit_micro_usd) }),
    children: node.children.map(nodeMessage),
  };
}

function forecastMessage(
  account: AccountName,
  statements: Statements,
  now_ms: number,
): MessageInitShape<typeof ForecastRowSchema> {
  const forecast = statements.forecast(account, now_ms);
  const { limit, limit_reached_at_ms } = forecast;
  return {
    scope: account.scope,
    id: account.id,
    name: account.name,
    spentMicroUsd: BigInt(forecast.spent_micro_usd),
    dailyRateMicroUsd: BigInt(forecast.daily_rate_micro_usd),
    projectedMicroUsd: BigInt(forecast.projected_micro_usd),
    windowEndsAtUnixMs: BigInt(forecast.window_ends_at_ms),
    zone: forecast.zone,
    ...(limit === undefined ? {} : { limitMicroUsd: BigInt(limit) }),
    ...(limit_reached_at_ms === undefined
      ? {}
      : { limitReachedAtUnixMs: BigInt(limit_reached_at_ms) }),
  };
}

function modelMessage(
  row: Pick<PricedModel, "provider" | "model"> & ModelRates,
): MessageInitShape<typeof PricedModelSchema> {
  return {
    provider: row.provider,
    model: row.model,
    inputPicoUsd: BigInt(row.input_pico_usd),
    outputPicoUsd: BigInt(row.output_pico_usd),
    cachedInputPicoUsd: BigInt(row.cached_pico_usd),
  };
}

function quantity(amount: Amount): MessageInitShape<typeof QuantitySchema> {
  return {
    microUsd: BigInt(amount.micro_usd),
    tokens: BigInt(amount.tokens),
    calls: BigInt(amount.calls),
    wallMs: BigInt(amount.wall_ms),
  };
}
