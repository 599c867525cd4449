/**
 * `aasm ops list | pause | resume | terminate | halt-all | lift`.
 *
 * @module
 */
import { operations } from "../../proto/mod.ts";
import type { CommandNamed } from "../arguments/parse.ts";
import { ExitCode } from "../exit_code.ts";
import { type GatewayConnection, withGateway } from "../gateway_connection.ts";
import { painter } from "../render/color.ts";
import { fields } from "../render/fields.ts";
import { utcText } from "../render/moment.ts";
import { writeReport } from "../render/report.ts";
import { table } from "../render/table.ts";
import type { Session } from "../session.ts";

const PAGE_SIZE = 1_000;
/** Pages asked for at most; a gateway that never ends its list is not followed for ever. */
const PAGES_MAX = 1_000;

/** `ops list`: every page. */
export async function listOps(
  command: CommandNamed<"ops list">,
  session: Session,
): Promise<ExitCode> {
  const { fleet, orders, ops } = await withGateway(session, (gateway) => allOps(command, gateway));
  writeReport(
    {
      data: {
        fleet,
        orders: orders.map((order) => ({
          target: order.target,
          agent_id: order.agentId,
          agent_key: order.agentKey,
          state: order.state,
          reason: order.reason,
          actor: order.actor,
          since_unix_ms: order.sinceUnixMs,
        })),
        ops: ops.map((op) => ({
          op_id: op.opId,
          agent_id: op.agentId,
          agent_key: op.agentKey,
          state: op.state,
          detail: op.detail,
          started_at_unix_ms: op.startedAtUnixMs,
          touched_at_unix_ms: op.touchedAtUnixMs,
        })),
      },
      table: (terminal) => {
        const paint = painter(terminal.colors);
        const parts = [
          fields([{
            name: "fleet",
            value: fleet,
            tone: fleet === "running" ? "good" : "bad",
          }], terminal),
        ];
        if (orders.length > 0) {
          const columns = ["TARGET", "AGENT", "STATE", "BY", "SINCE", "REASON"];
          const rows = orders.map((order) => [
            order.target,
            order.agentId,
            order.state,
            order.actor,
            utcText(order.sinceUnixMs),
            order.reason,
          ]);
          const title = paint("strong", "orders in force");
          parts.push(`${title}\n${table(columns.map((title) => ({ title })), rows, terminal)}`);
        }
        const columns = ["OPERATION", "AGENT", "STATE", "DETAIL", "STARTED", "LAST"];
        const rows = ops.map((op) => [
          op.opId,
          op.agentId,
          op.state,
          op.detail,
          utcText(op.startedAtUnixMs),
          utcText(op.touchedAtUnixMs),
        ]);
        const title = paint("strong", "operations");
        parts.push(`${title}\n${table(columns.map((title) => ({ title })), rows, terminal)}`);
        return parts.join("\n");
      },
    },
    session.flags.output,
    session.terminal,
  );
  return ExitCode.OK;
}

async function allOps(
  command: CommandNamed<"ops list">,
  gateway: GatewayConnection,
): Promise<Pick<operations.ListOpsResponse, "fleet" | "orders" | "ops">> {
  const client = gateway.client(operations.OperationsService);
  const ops: operations.Op[] = [];
  let first: operations.ListOpsResponse | undefined;
  let pageToken = "";
  for (let page = 0; page < PAGES_MAX; page++) {
    const answer = await client.listOps({
      agent: command.agent ?? "",
      state: command.state ?? "",
      pageSize: PAGE_SIZE,
      pageToken,
    }, await gateway.operator());
    first ??= answer;
    ops.push(...answer.ops);
    if (answer.nextPageToken === "") break;
    pageToken = answer.nextPageToken;
  }
  return { fleet: first?.fleet ?? "", orders: first?.orders ?? [], ops };
}

type OrderCommand = CommandNamed<"ops pause" | "ops resume" | "ops terminate" | "ops lift">;

const METHODS = {
  "ops pause": "pause",
  "ops resume": "resume",
  "ops terminate": "terminate",
  "ops lift": "liftHalt",
} as const;

/** `ops pause`, `resume`, `terminate`, `lift`. */
export async function giveOrder(command: OrderCommand, session: Session): Promise<ExitCode> {
  const { target, agent = "", unregistered, reason } = command;
  const answer = await withGateway(session, async (gateway) => {
    const client = gateway.client(operations.OperationsService);
    const request = { target, agent, unregistered, reason };
    return await client[METHODS[command.command]](request, await gateway.operator());
  });
  return writeOrder(answer, session);
}

/** `ops halt-all`. */
export async function haltAll(
  command: CommandNamed<"ops halt-all">,
  session: Session,
): Promise<ExitCode> {
  const { action, reason } = command;
  const answer = await withGateway(
    session,
    async (gateway) =>
      await gateway.client(operations.OperationsService)
        .haltAll({ action, reason }, await gateway.operator()),
  );
  return writeOrder(answer, session);
}

function writeOrder(answer: operations.OpOrderResponse, session: Session): ExitCode {
  const { target, agentKey, stateBefore, stateNow, auditIndex, subscribersTold } = answer;
  writeReport(
    {
      data: {
        target,
        agent_key: agentKey === "" ? null : agentKey,
        state_before: stateBefore,
        state_now: stateNow,
        audit_index: auditIndex,
        subscribers_told: subscribersTold,
      },
      table: (terminal) =>
        fields([
          { name: "target", value: target },
          { name: "before", value: stateBefore },
          { name: "now", value: stateNow },
          { name: "listeners told", value: String(subscribersTold) },
          {
            name: "recorded",
            value: stateBefore === stateNow ? "nothing had to be done" : `entry ${auditIndex}`,
          },
        ], terminal),
    },
    session.flags.output,
    session.terminal,
  );
  return ExitCode.OK;
}
