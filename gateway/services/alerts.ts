/**
 * `assembly.admin.v1.AlertService`: the alert list, and what is usual for agents.
 *
 * @module
 */
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { DETECTOR_NAMES, DETECTORS } from "../../core/anomaly/detectors.ts";
import { contains, GATEWAY, type Target } from "../../core/iam/permits.ts";
import { type CallContext, Code, GrpcError, type ServiceHandlers } from "../../grpc/mod.ts";
import {
  AlertEventSchema,
  AlertResponseSchema,
  type AlertSchema,
  type AlertService,
  GetBaselineResponseSchema,
  ListAlertsResponseSchema,
  ListDetectorsResponseSchema,
  ResetBaselineResponseSchema,
} from "../../proto/gen/assembly/admin/v1/alerts_pb.ts";
import type { AgentRecord } from "../../storage/sqlite/records.ts";
import {
  type Alert,
  ALERT_STATES,
  type AlertState,
  CATEGORIES,
  SEVERITIES,
  WIRE_STATUS,
} from "../alerts/alert.ts";
import { type AlertAct, type AlertBook, AlertError } from "../alerts/book.ts";
import type { AlertRules } from "../alerts/rules.ts";
import { alertRuleHandlers } from "./alert_rules.ts";
import { ALERT_LIMITS } from "../alerts/limits.ts";
import { WatchEnded } from "../alerts/watchers.ts";
import type { Anomalies } from "../anomalies/anomalies.ts";
import { AuditUnavailableError } from "../audit/errors.ts";
import type { AuditLog } from "../audit/log.ts";
import type { Clock } from "../clock.ts";
import type { Counters } from "../counters.ts";
import { clean } from "../engine/evidence.ts";
import { governanceEntry } from "../engine/governance.ts";
import type { PolicyStore } from "../engine/policy_store.ts";
import type { AuthenticatedOperator, Operators } from "../identity/operators.ts";
import type { Registry } from "../registry/registry.ts";
import { findAgent } from "./admin_agents.ts";
import { assertPermitted, requirePermission } from "./operator.ts";

/** What the service shows and changes. */
export interface AlertServiceDependencies {
  readonly alerts: AlertBook;
  readonly rules: AlertRules;
  readonly anomalies: Anomalies;
  readonly registry: Registry;
  readonly policy: Pick<PolicyStore, "current">;
  readonly operators: Operators;
  readonly counters: Counters;
  readonly audit: Pick<AuditLog, "append">;
  readonly clock: Clock;
}

/** Handlers of the whole service. */
export function alertHandlers(
  on: AlertServiceDependencies,
): ServiceHandlers<typeof AlertService> {
  return {
    ...listHandlers(on),
    ...changeHandlers(on),
    ...alertRuleHandlers(on),
    ...baselineHandlers(on),
  };
}

type Handlers = ServiceHandlers<typeof AlertService>;

function listHandlers(
  on: AlertServiceDependencies,
): Pick<Handlers, "listAlerts" | "getAlert" | "watchAlerts"> {
  const { alerts } = on;
  const reader = (context: CallContext) =>
    requirePermission(context, on.operators, on.counters, "alert.read");
  return {
    listAlerts: (request, context) => {
      const operator = reader(context);
      const size = request.pageSize === 0
        ? ALERT_LIMITS.page_default_alerts
        : Math.min(request.pageSize, ALERT_LIMITS.page_alerts);
      const before = pageToken(request.pageToken);
      const filter = {
        ...statesOf(request.state),
        ...word("severity", request.severity, SEVERITIES),
        ...word("category", request.category, CATEGORIES),
        ...(request.agent === "" ? {} : { agent_key: findAgent(on.registry, request.agent).key }),
        shows: (alert: Alert) => contains(operator, tenantOf(alert)),
      };
      const page = alerts.list(filter, size + 1, before);
      const shown = page.slice(0, size);
      return create(ListAlertsResponseSchema, {
        alerts: shown.map((alert) => alertMessage(alert, false)),
        nextPageToken: page.length > size ? shown.at(-1)?.id ?? "" : "",
      });
    },
    getAlert: ({ id }, context) => answer(visible(on, reader(context), id)),
    watchAlerts: async function* ({ withOpen }, context) {
      const operator = reader(context);
      const shows = (alert: Alert) => contains(operator, tenantOf(alert));
      const message = (type: string, alert: Alert) =>
        create(AlertEventSchema, { type: `alert.${type}`, alert: alertMessage(alert, false) });
      if (withOpen) {
        const open = alerts.list({ states: ["open"], shows }, ALERT_LIMITS.page_alerts);
        for (const alert of open.toReversed()) yield message("fire", alert);
      }
      try {
        for await (const { kind, alert } of alerts.watchers.watch(context.signal)) {
          if (shows(alert)) yield message(kind, alert);
        }
      } catch (error) {
        throw error instanceof WatchEnded ? watchFailure(error) : error;
      }
    },
  };
}

function changeHandlers(
  on: AlertServiceDependencies,
): Pick<Handlers, "acknowledgeAlert" | "resolveAlert" | "silenceAlert"> {
  const { alerts } = on;
  const change = async (
    context: CallContext,
    id: string,
    reason: string,
    make: (act: AlertAct) => Promise<Alert>,
  ) => {
    const operator = requirePermission(context, on.operators, on.counters, "alert.write");
    assertPermitted(operator, on.counters, "alert.write", targetOf(visible(on, operator, id)));
    try {
      return answer(await make({ actor: `operator:${operator.name}`, reason: clean(reason) }));
    } catch (error) {
      throw changeFailure(error);
    }
  };
  return {
    acknowledgeAlert: ({ id, reason }, context) =>
      change(context, id, reason, (act) => alerts.acknowledge(id, act)),
    resolveAlert: ({ id, reason }, context) =>
      change(context, id, reason, (act) => alerts.resolve(id, act)),
    silenceAlert: ({ id, reason, durationSeconds }, context) =>
      change(context, id, reason, (act) => alerts.silence(id, durationSeconds, act)),
  };
}

function baselineHandlers(
  on: AlertServiceDependencies,
): Pick<Handlers, "listDetectors" | "getBaseline" | "resetBaseline"> {
  const { anomalies, registry } = on;
  return {
    listDetectors: ({ agent }, context) => {
      const operator = requirePermission(context, on.operators, on.counters, "alert.read");
      const record = agent === "" ? undefined : ownAgent(on, operator, agent, "agent.read");
      const cascade = record &&
        on.policy.current.index.cascade(registry.principalOf(record, on.clock.now_ms()), {
          kind: "process_exec",
          command: "",
        });
      return create(ListDetectorsResponseSchema, {
        detectors: DETECTOR_NAMES.map((name) => {
          const { response, rule } = anomalies.responseTo(name, cascade);
          const stated_by = rule === undefined ? "" : `${rule.file}:${rule.line}`;
          return { name, ...DETECTORS[name], response, statedBy: stated_by };
        }),
      });
    },
    getBaseline: async ({ agent }, context) => {
      const operator = requirePermission(context, on.operators, on.counters, "agent.read");
      const { key } = ownAgent(on, operator, agent, "agent.read");
      return baselineMessage(key, await anomalies.summary(key));
    },
    resetBaseline: async ({ agent, reason }, context) => {
      const operator = requirePermission(context, on.operators, on.counters, "anomaly.write");
      const { key } = ownAgent(on, operator, agent, "anomaly.write");
      if (reason.trim() === "") throw invalid("reason: is missing: say why");
      await recorded(on, "anomaly_baseline_reset", {
        actor: `operator:${operator.name}`,
        agent_key: key,
        reason: clean(reason.slice(0, ALERT_LIMITS.reason_chars)),
      });
      await anomalies.baselines.forget(key);
      return create(ResetBaselineResponseSchema, { agentKey: key });
    },
  };
}

function ownAgent(
  on: AlertServiceDependencies,
  operator: AuthenticatedOperator,
  agent: string,
  permission: "agent.read" | "anomaly.write",
): AgentRecord {
  const record = findAgent(on.registry, agent);
  const { org_id, team_id } = record;
  assertPermitted(operator, on.counters, permission, { kind: "tenant", org_id, team_id });
  return record;
}

/** An alert the operator may see; another tenant's is as unknown as one that never was. */
function visible(on: AlertServiceDependencies, operator: AuthenticatedOperator, id: string): Alert {
  const alert = on.alerts.get(id);
  if (alert !== undefined && contains(operator, tenantOf(alert))) return alert;
  throw new GrpcError(
    `id: no alert \`${id.slice(0, 64)}\`: list them with \`aasm alerts list\``,
    Code.NOT_FOUND,
  );
}

function tenantOf({ org_id = "", team_id = "" }: Alert): { org_id: string; team_id: string } {
  return { org_id, team_id };
}

/** Whose an alert is: what names no tenant belongs to the gateway. */
function targetOf(alert: Alert): Target {
  const { org_id, team_id } = alert;
  if (org_id === undefined && team_id === undefined) return GATEWAY;
  return { kind: "tenant", ...tenantOf(alert) };
}

async function recorded(
  on: AlertServiceDependencies,
  action: string,
  facts: Readonly<Record<string, unknown>>,
): Promise<void> {
  try {
    await on.audit.append(governanceEntry(action, facts, on.clock));
  } catch (error) {
    throw changeFailure(error);
  }
}

function changeFailure(error: unknown): unknown {
  if (error instanceof AlertError) {
    const code = {
      not_found: Code.NOT_FOUND,
      invalid: Code.INVALID_ARGUMENT,
      already_silenced: Code.ALREADY_EXISTS,
      resolved: Code.FAILED_PRECONDITION,
    }[error.code];
    return new GrpcError(error.message, code, { cause: error });
  }
  if (error instanceof AuditUnavailableError) {
    const message = `not done: it could not be recorded: ${error.message}`;
    return new GrpcError(message, Code.UNAVAILABLE, { cause: error });
  }
  return error;
}

function watchFailure(error: WatchEnded): GrpcError {
  switch (error.why) {
    case "lagging":
      return new GrpcError(
        `more than ${ALERT_LIMITS.watcher_events} events waited for this watcher: list, then watch again`,
        Code.RESOURCE_EXHAUSTED,
      );
    case "too_many":
      return new GrpcError(
        `${ALERT_LIMITS.watchers} watchers are open already: end one`,
        Code.RESOURCE_EXHAUSTED,
      );
    case "stopped":
      return new GrpcError("the gateway is stopping", Code.UNAVAILABLE);
  }
}

function statesOf(wanted: string): { readonly states?: readonly AlertState[] } {
  if (wanted === "") return {};
  const states = ALERT_STATES.filter((state) => state === wanted || WIRE_STATUS[state] === wanted);
  if (states.length > 0) return { states };
  throw invalid(
    `state: cannot be \`${wanted.slice(0, 32)}\`: expected ${ALERT_STATES.join(", ")}, ` +
      "unresolved or suppressed",
  );
}

function word<K extends string, V extends string>(
  field: K,
  wanted: string,
  words: readonly V[],
): { readonly [P in K]?: V } {
  if (wanted === "") return {};
  const known = words.find((one) => one === wanted);
  if (known === undefined) {
    throw invalid(`${field}: cannot be \`${wanted.slice(0, 32)}\`: expected ${words.join(", ")}`);
  }
  return { [field]: known } as { readonly [P in K]?: V };
}

function pageToken(token: string): string | undefined {
  if (token === "") return undefined;
  if (/^[0-9A-HJKMNP-TV-Z]{26}$/.test(token)) return token;
  throw invalid("page_token: is not one that a listing returned");
}

function invalid(message: string): GrpcError {
  return new GrpcError(message, Code.INVALID_ARGUMENT);
}

function answer(alert: Alert) {
  return create(AlertResponseSchema, { alert: alertMessage(alert, true) });
}

function alertMessage(alert: Alert, whole: boolean): MessageInitShape<typeof AlertSchema> {
  return {
    id: alert.id,
    severity: alert.severity,
    category: alert.category,
    state: alert.state,
    status: WIRE_STATUS[alert.state],
    source: alert.source,
    message: alert.message,
    agentId: alert.agent_id ?? "",
    agentKey: alert.agent_key ?? "",
    orgId: alert.org_id ?? "",
    teamId: alert.team_id ?? "",
    firstAtUnixMs: BigInt(alert.first_ms),
    lastAtUnixMs: BigInt(alert.last_ms),
    times: BigInt(alert.times),
    silencedUntilUnixMs: BigInt(alert.silenced_until_ms ?? 0),
    history: whole
      ? alert.history.map(({ at_ms, state, actor, reason }) => ({
        atUnixMs: BigInt(at_ms),
        state,
        actor,
        reason,
      }))
      : [],
  };
}

function baselineMessage(
  agentKey: string,
  summary: Awaited<ReturnType<Anomalies["summary"]>>,
) {
  if (summary === undefined) {
    return create(GetBaselineResponseSchema, { agentKey, known: false });
  }
  const optional = <K extends string>(key: K, value: number | undefined) =>
    (value === undefined ? {} : { [key]: value }) as { readonly [P in K]?: number };
  return create(GetBaselineResponseSchema, {
    agentKey,
    known: true,
    warm: summary.warm,
    actions: BigInt(summary.actions),
    watchedHours: BigInt(summary.watched_hours),
    ...optional("actionsPer5Minutes", summary.actions_per_window),
    ...optional("identicalCallsPer5Minutes", summary.identical_calls_per_window),
    ...optional("secretsPerHour", summary.secrets_per_hour),
    ...optional("microUsdPerCall", summary.micro_usd_per_call),
    ...optional("microUsdPerHour", summary.micro_usd_per_hour),
    ...optional("refusedShare", summary.refused_share),
    tools: summary.tools,
    hosts: summary.hosts,
    programs: summary.programs,
    argumentShapes: summary.shapes,
    activeHours: [...summary.active_hours],
  });
}
