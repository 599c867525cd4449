/**
 * `aasm alerts rule list | set | delete`.
 *
 * @module
 */
import { alerts } from "../../proto/mod.ts";
import type { CommandNamed } from "../arguments/parse.ts";
import { ExitCode } from "../exit_code.ts";
import { withGateway } from "../gateway_connection.ts";
import { fields } from "../render/fields.ts";
import { type Data, writeReport } from "../render/report.ts";
import { table } from "../render/table.ts";
import type { Session } from "../session.ts";

/** `alerts rule list`. */
export async function listAlertRules(session: Session): Promise<ExitCode> {
  const { rules } = await withGateway(
    session,
    async (gateway) =>
      await gateway.client(alerts.AlertService).listAlertRules({}, await gateway.operator()),
  );
  writeRules(rules, session);
  return ExitCode.OK;
}

/** `alerts rule set`. */
export async function setAlertRule(
  command: CommandNamed<"alerts rule set">,
  session: Session,
): Promise<ExitCode> {
  const rule = await withGateway(
    session,
    async (gateway) =>
      await gateway.client(alerts.AlertService).setAlertRule({
        rule: {
          id: command.id ?? "",
          name: command.name,
          description: command.description,
          enabled: !command.disabled,
          metric: command.metric,
          operator: command.operator,
          threshold: command.threshold,
          severity: command.severity,
          evaluationWindowSeconds: command.window,
        },
      }, await gateway.operator()),
  );
  writeRules([rule], session);
  return ExitCode.OK;
}

/** `alerts rule delete`. */
export async function deleteAlertRule(
  { id }: CommandNamed<"alerts rule delete">,
  session: Session,
): Promise<ExitCode> {
  await withGateway(
    session,
    async (gateway) =>
      await gateway.client(alerts.AlertService).deleteAlertRule({ id }, await gateway.operator()),
  );
  writeReport(
    {
      data: { deleted: id },
      table: (terminal) => fields([{ name: "deleted", value: id }], terminal),
    },
    session.flags.output,
    session.terminal,
  );
  return ExitCode.OK;
}

function writeRules(rules: readonly alerts.AlertRule[], session: Session): void {
  writeReport(
    {
      data: rules.map(ruleData),
      table: (terminal) =>
        table(
          [
            { title: "ID" },
            { title: "NAME" },
            { title: "ENABLED" },
            { title: "RULE" },
            { title: "WINDOW", align: "right" },
            { title: "SEVERITY" },
            { title: "MEASURED" },
          ],
          rules.map((rule) => [
            rule.id,
            rule.name,
            rule.enabled ? "yes" : "no",
            `${rule.metric} ${rule.operator} ${rule.threshold}`,
            `${rule.evaluationWindowSeconds} s`,
            rule.severity,
            rule.measured ? "yes" : "no source",
          ]),
          terminal,
        ),
    },
    session.flags.output,
    session.terminal,
  );
}

function ruleData(rule: alerts.AlertRule): Data {
  return {
    id: rule.id,
    name: rule.name,
    description: rule.description,
    enabled: rule.enabled,
    metric: rule.metric,
    operator: rule.operator,
    threshold: rule.threshold,
    severity: rule.severity,
    evaluation_window_seconds: rule.evaluationWindowSeconds,
    created_at_unix_ms: rule.createdAtUnixMs,
    updated_at_unix_ms: rule.updatedAtUnixMs,
    measured: rule.measured,
  };
}
