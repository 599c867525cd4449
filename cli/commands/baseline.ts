/**
 * `aasm alerts detectors | baseline | reset-baseline`: what is looked for, and what is usual.
 *
 * @module
 */
import { alerts } from "../../proto/mod.ts";
import type { CommandNamed } from "../arguments/parse.ts";
import { ExitCode } from "../exit_code.ts";
import { withGateway } from "../gateway_connection.ts";
import { type Field, fields } from "../render/fields.ts";
import { type Data, writeReport } from "../render/report.ts";
import { table } from "../render/table.ts";
import type { Session } from "../session.ts";

/** `alerts detectors`. */
export async function listDetectors(
  { agent = "" }: CommandNamed<"alerts detectors">,
  session: Session,
): Promise<ExitCode> {
  const { detectors } = await withGateway(
    session,
    async (gateway) =>
      await gateway.client(alerts.AlertService).listDetectors({ agent }, await gateway.operator()),
  );
  writeReport(
    {
      data: detectors.map(({ name, notices, rule, source, response, statedBy }) => ({
        name,
        notices,
        rule,
        source,
        response,
        stated_by: statedBy,
      })),
      table: (terminal) =>
        table(
          [{ title: "DETECTOR" }, { title: "RESPONSE" }, { title: "STATED BY" }, {
            title: "NOTICES",
          }],
          detectors.map(({ name, response, statedBy, notices }) => [
            name,
            response,
            statedBy === "" ? "default" : statedBy,
            notices,
          ]),
          terminal,
        ),
    },
    session.flags.output,
    session.terminal,
  );
  return ExitCode.OK;
}

/** `alerts baseline`. */
export async function showBaseline(
  { agent }: CommandNamed<"alerts baseline">,
  session: Session,
): Promise<ExitCode> {
  const baseline = await withGateway(
    session,
    async (gateway) =>
      await gateway.client(alerts.AlertService).getBaseline({ agent }, await gateway.operator()),
  );
  writeReport(
    {
      data: baselineData(baseline),
      table: (terminal) => fields(baselineFields(baseline), terminal),
    },
    session.flags.output,
    session.terminal,
  );
  return ExitCode.OK;
}

/** `alerts reset-baseline`. */
export async function resetBaseline(
  { agent, reason }: CommandNamed<"alerts reset-baseline">,
  session: Session,
): Promise<ExitCode> {
  const { agentKey } = await withGateway(
    session,
    async (gateway) =>
      await gateway.client(alerts.AlertService).resetBaseline(
        { agent, reason },
        await gateway.operator(),
      ),
  );
  writeReport(
    {
      data: { agent_key: agentKey },
      table: (terminal) => fields([{ name: "forgotten", value: agentKey }], terminal),
    },
    session.flags.output,
    session.terminal,
  );
  return ExitCode.OK;
}

const UNSETTLED = "not known yet";

function baselineFields(baseline: alerts.GetBaselineResponse): Field[] {
  if (!baseline.known) {
    return [
      { name: "key", value: baseline.agentKey },
      { name: "baseline", value: "none: the agent has not acted" },
    ];
  }
  const most = (name: string, value: number | undefined, digits = 0) => ({
    name,
    value: value === undefined ? UNSETTLED : `at most ${value.toFixed(digits)}`,
  });
  const usd = (value: number | undefined) => value === undefined ? undefined : value / 1_000_000;
  const { refusedShare } = baseline;
  return [
    { name: "key", value: baseline.agentKey },
    { name: "warm", value: baseline.warm ? "yes" : "no: still learning" },
    { name: "actions", value: String(baseline.actions) },
    { name: "watched", value: `${baseline.watchedHours} h` },
    most("actions in 5 minutes", baseline.actionsPer5Minutes),
    most("identical calls in 5 minutes", baseline.identicalCallsPer5Minutes),
    most("secrets in an hour", baseline.secretsPerHour),
    most("USD a call", usd(baseline.microUsdPerCall), 4),
    most("USD an hour", usd(baseline.microUsdPerHour), 2),
    {
      name: "refused",
      value: refusedShare === undefined ? UNSETTLED : `${(refusedShare * 100).toFixed(1)} %`,
    },
    { name: "tools", value: String(baseline.tools) },
    { name: "hosts", value: String(baseline.hosts) },
    { name: "programs", value: String(baseline.programs) },
    { name: "argument shapes", value: String(baseline.argumentShapes) },
    { name: "works at (UTC)", value: hoursText(baseline.activeHours) },
  ];
}

/** One digit an hour, tenths of days with work: `0000000159999999630000.`. */
function hoursText(hours: readonly number[]): string {
  if (hours.every((share) => share === 0)) return UNSETTLED;
  const digits = hours.map((share) => share === 0 ? "." : Math.min(9, Math.floor(share * 10)));
  return `${digits.join("")} (00 to 23 h; 9: nine days in ten)`;
}

function baselineData(baseline: alerts.GetBaselineResponse): Data {
  return {
    agent_key: baseline.agentKey,
    known: baseline.known,
    warm: baseline.warm,
    actions: baseline.actions,
    watched_hours: baseline.watchedHours,
    actions_per_5_minutes: baseline.actionsPer5Minutes ?? null,
    identical_calls_per_5_minutes: baseline.identicalCallsPer5Minutes ?? null,
    secrets_per_hour: baseline.secretsPerHour ?? null,
    micro_usd_per_call: baseline.microUsdPerCall ?? null,
    micro_usd_per_hour: baseline.microUsdPerHour ?? null,
    refused_share: baseline.refusedShare ?? null,
    tools: baseline.tools,
    hosts: baseline.hosts,
    programs: baseline.programs,
    argument_shapes: baseline.argumentShapes,
    active_hours: baseline.activeHours,
  };
}
