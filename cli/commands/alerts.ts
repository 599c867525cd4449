/**
 * `aasm alerts list | get | ack | resolve | silence | watch`.
 *
 * @module
 */
import { alerts } from "../../proto/mod.ts";
import type { CommandNamed } from "../arguments/parse.ts";
import { ExitCode } from "../exit_code.ts";
import { type GatewayConnection, withGateway } from "../gateway_connection.ts";
import { painter, type Tone } from "../render/color.ts";
import { type Field, fields } from "../render/fields.ts";
import { momentText, utcText } from "../render/moment.ts";
import { printable } from "../render/printable.ts";
import { type Data, jsonText, writeReport, yamlText } from "../render/report.ts";
import { table } from "../render/table.ts";
import type { Session } from "../session.ts";

const PAGE_SIZE = 500;

/** `alerts list`: newest first, page by page up to the limit. */
export async function listAlerts(
  command: CommandNamed<"alerts list">,
  session: Session,
): Promise<ExitCode> {
  const found = await withGateway(session, async (gateway) => {
    const all: alerts.Alert[] = [];
    let pageToken = "";
    do {
      const answer = await gateway.client(alerts.AlertService).listAlerts({
        state: command.status === "all" ? "" : command.status,
        severity: command.severity ?? "",
        category: command.category ?? "",
        agent: command.agent ?? "",
        pageSize: Math.min(PAGE_SIZE, command.limit - all.length),
        pageToken,
      }, await gateway.operator());
      all.push(...answer.alerts);
      pageToken = answer.alerts.length === 0 ? "" : answer.nextPageToken;
    } while (pageToken !== "" && all.length < command.limit);
    return all;
  });
  writeReport(
    {
      data: found.map((alert) => alertData(alert)),
      table: (terminal) =>
        table(
          [
            { title: "ID" },
            { title: "SEVERITY", toned: true },
            { title: "STATE" },
            { title: "SOURCE" },
            { title: "AGENT" },
            { title: "TIMES", align: "right" },
            { title: "LAST" },
            { title: "MESSAGE" },
          ],
          found.map((alert) => [
            alert.id,
            alert.severity,
            alert.state,
            alert.source,
            alert.agentId,
            String(alert.times),
            utcText(alert.lastAtUnixMs),
            alert.message,
          ]),
          terminal,
        ),
    },
    session.flags.output,
    session.terminal,
  );
  return ExitCode.OK;
}

/** `alerts get`. */
export function getAlert(
  { id }: CommandNamed<"alerts get">,
  session: Session,
): Promise<ExitCode> {
  return showOne(
    session,
    async (gateway) =>
      await gateway.client(alerts.AlertService).getAlert({ id }, await gateway.operator()),
  );
}

/** `alerts ack`. */
export function acknowledgeAlert(
  { id, reason }: CommandNamed<"alerts ack">,
  session: Session,
): Promise<ExitCode> {
  return showOne(
    session,
    async (gateway) =>
      await gateway.client(alerts.AlertService).acknowledgeAlert(
        { id, reason },
        await gateway.operator(),
      ),
  );
}

/** `alerts resolve`. */
export function resolveAlert(
  { id, reason }: CommandNamed<"alerts resolve">,
  session: Session,
): Promise<ExitCode> {
  return showOne(
    session,
    async (gateway) =>
      await gateway.client(alerts.AlertService).resolveAlert(
        { id, reason },
        await gateway.operator(),
      ),
  );
}

/** `alerts silence`. */
export function silenceAlert(
  { id, reason, seconds }: CommandNamed<"alerts silence">,
  session: Session,
): Promise<ExitCode> {
  return showOne(session, async (gateway) =>
    await gateway.client(alerts.AlertService).silenceAlert(
      { id, reason, durationSeconds: seconds },
      await gateway.operator(),
    ));
}

/** `alerts watch`: as they come; 0 at Ctrl-C. */
export function watchAlerts(
  command: CommandNamed<"alerts watch">,
  session: Session,
): Promise<ExitCode> {
  return withGateway(session, async (gateway) => {
    const options = await gateway.operatorStream();
    const stream = gateway.client(alerts.AlertService).watchAlerts(
      { withOpen: !command.new_only },
      options,
    );
    try {
      for await (const { type, alert } of stream) {
        if (alert !== undefined) showEvent(type, alert, session);
      }
    } catch (error) {
      if (!session.signal.aborted) throw error;
    }
    return ExitCode.OK;
  });
}

function showEvent(type: string, alert: alerts.Alert, { flags, terminal }: Session): void {
  const data = { type, alert: alertData(alert) };
  switch (flags.output) {
    case "json":
      terminal.out(`${jsonText(data)}\n`);
      return;
    case "yaml":
      terminal.out(`---\n${yamlText(data)}`);
      return;
    case "table": {
      const line = [
        utcText(alert.lastAtUnixMs),
        type.replace("alert.", ""),
        alert.severity,
        alert.source,
        alert.agentId === "" ? "-" : alert.agentId,
        alert.message,
        alert.id,
      ].map(printable).join("  ");
      terminal.out(`${painter(terminal.colors)(severityTone(alert.severity), line)}\n`);
      return;
    }
  }
}

async function showOne(
  session: Session,
  call: (gateway: GatewayConnection) => Promise<alerts.AlertResponse>,
): Promise<ExitCode> {
  const { alert } = await withGateway(session, call);
  const now_ms = session.now_ms();
  writeReport(
    {
      data: alert === undefined ? null : alertData(alert, true),
      table: (terminal) => {
        if (alert === undefined) return "";
        const title = painter(terminal.colors)("strong", "history");
        const steps = table(
          [{ title: "WHEN" }, { title: "STATE" }, { title: "BY" }, { title: "REASON" }],
          alert.history.map((step) => [
            utcText(step.atUnixMs),
            step.state,
            step.actor,
            step.reason,
          ]),
          terminal,
        );
        return `${fields(alertFields(alert, now_ms), terminal)}\n${title}\n${steps}`;
      },
    },
    session.flags.output,
    session.terminal,
  );
  return ExitCode.OK;
}

function alertFields(alert: alerts.Alert, now_ms: number): Field[] {
  const optional = (name: string, value: string) => value === "" ? [] : [{ name, value }];
  return [
    { name: "alert", value: alert.id },
    { name: "severity", value: alert.severity },
    { name: "category", value: alert.category },
    { name: "source", value: alert.source },
    {
      name: "state",
      value: alert.silencedUntilUnixMs === 0n
        ? alert.state
        : `${alert.state} until ${momentText(alert.silencedUntilUnixMs, now_ms)}`,
    },
    { name: "message", value: alert.message },
    ...optional("agent", alert.agentId),
    ...optional("key", alert.agentKey),
    ...optional("organisation", alert.orgId),
    ...optional("team", alert.teamId),
    { name: "first", value: momentText(alert.firstAtUnixMs, now_ms) },
    { name: "last", value: momentText(alert.lastAtUnixMs, now_ms) },
    { name: "times", value: String(alert.times) },
  ];
}

function alertData(alert: alerts.Alert, whole = false): Data {
  return {
    id: alert.id,
    severity: alert.severity,
    category: alert.category,
    state: alert.state,
    status: alert.status,
    source: alert.source,
    message: alert.message,
    agent_id: alert.agentId,
    agent_key: alert.agentKey,
    org_id: alert.orgId,
    team_id: alert.teamId,
    first_at_unix_ms: alert.firstAtUnixMs,
    last_at_unix_ms: alert.lastAtUnixMs,
    times: alert.times,
    silenced_until_unix_ms: alert.silencedUntilUnixMs,
    ...(whole && {
      history: alert.history.map((step) => ({
        at_unix_ms: step.atUnixMs,
        state: step.state,
        actor: step.actor,
        reason: step.reason,
      })),
    }),
  };
}

function severityTone(severity: string): Tone | undefined {
  return severity === "critical" ? "bad" : severity === "warning" ? "caution" : undefined;
}
