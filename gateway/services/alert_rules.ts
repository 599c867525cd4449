/**
 * The rules of `assembly.admin.v1.AlertService`. Rules measure the whole gateway, so that only
 * operators who are bound to no tenant change them.
 *
 * @module
 */
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { GATEWAY } from "../../core/iam/permits.ts";
import { Code, GrpcError, type ServiceHandlers } from "../../grpc/mod.ts";
import {
  AlertRuleSchema,
  type AlertService,
  DeleteAlertRuleResponseSchema,
  ListAlertRulesResponseSchema,
} from "../../proto/gen/assembly/admin/v1/alerts_pb.ts";
import type { AlertRule } from "../alerts/rule.ts";
import { AlertRuleError, type AlertRules } from "../alerts/rules.ts";
import { AuditUnavailableError } from "../audit/errors.ts";
import type { Counters } from "../counters.ts";
import { clean } from "../engine/evidence.ts";
import type { Operators } from "../identity/operators.ts";
import { requirePermission } from "./operator.ts";

/** What the handlers need. */
export interface AlertRuleDependencies {
  readonly rules: AlertRules;
  readonly operators: Operators;
  readonly counters: Counters;
}

/** Handlers of the rules. */
export function alertRuleHandlers(
  on: AlertRuleDependencies,
): Pick<
  ServiceHandlers<typeof AlertService>,
  "listAlertRules" | "setAlertRule" | "deleteAlertRule"
> {
  const { rules } = on;
  return {
    listAlertRules: (_request, context) => {
      requirePermission(context, on.operators, on.counters, "alert.read");
      return create(ListAlertRulesResponseSchema, {
        rules: rules.list().map((rule) => ruleMessage(rules, rule)),
      });
    },
    setAlertRule: async ({ rule }, context) => {
      const operator = requirePermission(
        context,
        on.operators,
        on.counters,
        "alert.write",
        GATEWAY,
      );
      if (rule === undefined) throw new GrpcError("rule: is missing", Code.INVALID_ARGUMENT);
      const words = {
        name: clean(rule.name),
        description: clean(rule.description),
        enabled: rule.enabled,
        metric: rule.metric,
        operator: rule.operator,
        threshold: rule.threshold,
        severity: rule.severity,
        window_s: rule.evaluationWindowSeconds,
      };
      const id = rule.id === "" ? undefined : rule.id;
      try {
        const kept = await rules.put(id, words, `operator:${operator.name}`);
        return create(AlertRuleSchema, ruleMessage(rules, kept));
      } catch (error) {
        throw ruleFailure(error);
      }
    },
    deleteAlertRule: async ({ id }, context) => {
      const operator = requirePermission(
        context,
        on.operators,
        on.counters,
        "alert.write",
        GATEWAY,
      );
      try {
        await rules.remove(id, `operator:${operator.name}`);
      } catch (error) {
        throw ruleFailure(error);
      }
      return create(DeleteAlertRuleResponseSchema);
    },
  };
}

function ruleFailure(error: unknown): unknown {
  if (error instanceof AlertRuleError) {
    const code = error.code === "rule_not_found"
      ? Code.NOT_FOUND
      : error.code === "rule_name_conflict"
      ? Code.ALREADY_EXISTS
      : error.code === "limit_reached"
      ? Code.RESOURCE_EXHAUSTED
      : Code.INVALID_ARGUMENT;
    return new GrpcError(error.message, code, { cause: error });
  }
  if (error instanceof AuditUnavailableError) {
    const message = `not done: it could not be recorded: ${error.message}`;
    return new GrpcError(message, Code.UNAVAILABLE, { cause: error });
  }
  return error;
}

function ruleMessage(
  rules: AlertRules,
  rule: AlertRule,
): MessageInitShape<typeof AlertRuleSchema> {
  return {
    id: rule.id,
    name: rule.name,
    description: rule.description,
    enabled: rule.enabled,
    metric: rule.metric,
    operator: rule.operator,
    threshold: rule.threshold,
    severity: rule.severity,
    evaluationWindowSeconds: rule.window_s,
    createdAtUnixMs: BigInt(rule.created_ms),
    updatedAtUnixMs: BigInt(rule.updated_ms),
    measured: rules.sources.has(rule.metric),
  };
}
