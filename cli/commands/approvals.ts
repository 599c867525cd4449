/**
 * `aasm approvals list | get | approve | reject | forward | revoke | watch`.
 *
 * @module
 */
import { approvals } from "../../proto/mod.ts";
import type { CommandNamed } from "../arguments/parse.ts";
import { CommandError, ExitCode } from "../exit_code.ts";
import { type GatewayConnection, withGateway } from "../gateway_connection.ts";
import { approvalData, approvalsTable, approvalText, noticeLine } from "../render/approval.ts";
import { type Data, jsonText, writeReport, yamlText } from "../render/report.ts";
import type { Session } from "../session.ts";
import { watchInteractively } from "./approvals_screen.ts";

const PAGE_SIZE = 100;

/** `approvals list`: newest first, page by page. */
export async function listApprovals(
  command: CommandNamed<"approvals list">,
  session: Session,
): Promise<ExitCode> {
  const found = await withGateway(session, async (gateway) => {
    const client = gateway.client(approvals.ApprovalAdminService);
    const all: approvals.Approval[] = [];
    let total = 0;
    for (let page = 1; all.length < command.limit; page++) {
      const answer = await client.listApprovals({
        status: command.status,
        agent: command.agent ?? "",
        page,
        perPage: PAGE_SIZE,
      }, await gateway.operator());
      total = answer.total;
      all.push(...answer.approvals);
      if (answer.approvals.length < PAGE_SIZE) break;
    }
    return { list: all.slice(0, command.limit), total };
  });
  const { terminal, flags } = session;
  writeReport(
    {
      data: found.list.map(approvalData),
      table: (on) => approvalsTable(found.list, session.now_ms(), on),
    },
    flags.output,
    terminal,
  );
  if (found.total > found.list.length) {
    terminal.err(`note: ${found.total - found.list.length} more; raise --limit to see them\n`);
  }
  return ExitCode.OK;
}

/** `approvals get`: what would be approved. */
export async function getApproval(
  command: CommandNamed<"approvals get">,
  session: Session,
): Promise<ExitCode> {
  const answer = await withGateway(session, (gateway) => fetch(gateway, command.id));
  writeReport(
    {
      data: {
        approval: answer.approval === undefined ? null : approvalData(answer.approval),
        shown_text: answer.shownTextHeld ? answer.shownText : null,
        shown_text_cut_chars: answer.shownTextCutChars,
      },
      table: (terminal) => approvalText(answer, session.now_ms(), terminal),
    },
    session.flags.output,
    session.terminal,
  );
  return ExitCode.OK;
}

async function fetch(
  gateway: GatewayConnection,
  requestId: string,
): Promise<approvals.GetApprovalResponse> {
  const client = gateway.client(approvals.ApprovalAdminService);
  return await client.getApproval({ requestId }, await gateway.operator());
}

/** `approvals approve`: shows it, asks on a terminal, and sends the digest that was shown. */
export function approveApproval(
  command: CommandNamed<"approvals approve">,
  session: Session,
): Promise<ExitCode> {
  const { id, reason = "", condition, digest, yes } = command;
  return withGateway(session, async (gateway) => {
    const shown = await fetch(gateway, id);
    const expectedDigest = shown.approval?.digest ?? "";
    if (digest !== undefined && digest !== expectedDigest) {
      throw new CommandError(
        `request \`${id}\` has the digest \`${expectedDigest}\`, not \`${digest}\``,
        ExitCode.FAILURE,
        "look at it with `aasm approvals get`",
      );
    }
    if (!yes && !await confirmed(shown, session)) {
      session.terminal.err("not approved\n");
      return ExitCode.FAILURE;
    }
    const client = gateway.client(approvals.ApprovalAdminService);
    const answer = await client.approveApproval({
      requestId: id,
      expectedDigest,
      reason,
      conditions: [...condition],
    }, await gateway.operator());
    return told("Approved", answer, session);
  });
}

async function confirmed(
  shown: approvals.GetApprovalResponse,
  session: Session,
): Promise<boolean> {
  const { terminal, input } = session;
  if (!input.interactive) {
    throw new CommandError(
      "nobody is there to confirm what is approved",
      ExitCode.USAGE,
      "run it on a terminal, or say --yes, best with --digest",
    );
  }
  terminal.err(`${approvalText(shown, session.now_ms(), terminal)}\n`);
  terminal.err("Let exactly this happen? [y/N] ");
  const answer = (await input.line())?.trim().toLowerCase();
  return answer === "y" || answer === "yes";
}

/** `approvals reject`: the reason comes from the flag, or from standard input. */
export function rejectApproval(
  command: CommandNamed<"approvals reject">,
  session: Session,
): Promise<ExitCode> {
  return withGateway(session, async (gateway) => {
    const reason = command.reason ?? await typedReason(session);
    const client = gateway.client(approvals.ApprovalAdminService);
    const answer = await client.rejectApproval({
      requestId: command.id,
      reason,
    }, await gateway.operator());
    return told("Rejected", answer, session);
  });
}

async function typedReason({ input, terminal }: Session): Promise<string> {
  if (input.interactive) terminal.err("Reason: ");
  const reason = (await input.line())?.trim() ?? "";
  if (reason !== "") return reason;
  throw new CommandError(
    "a rejection needs a reason",
    ExitCode.USAGE,
    "say --reason TEXT, or give it on standard input",
  );
}

/** `approvals forward`. */
export function forwardApproval(
  command: CommandNamed<"approvals forward">,
  session: Session,
): Promise<ExitCode> {
  const { id, to, reason = "" } = command;
  return withGateway(session, async (gateway) => {
    const client = gateway.client(approvals.ApprovalAdminService);
    const request = { requestId: id, to, reason };
    return told(
      "Forwarded",
      await client.forwardApproval(request, await gateway.operator()),
      session,
    );
  });
}

/** `approvals revoke`. */
export function revokeApproval(
  command: CommandNamed<"approvals revoke">,
  session: Session,
): Promise<ExitCode> {
  const { id, reason } = command;
  return withGateway(session, async (gateway) => {
    const client = gateway.client(approvals.ApprovalAdminService);
    const request = { requestId: id, reason };
    return told("Revoked", await client.revokeApproval(request, await gateway.operator()), session);
  });
}

function told(
  done: string,
  { approval }: approvals.DecideApprovalResponse,
  { flags, terminal }: Session,
): ExitCode {
  if (approval === undefined) return ExitCode.OK;
  const { quorum, votes, status } = approval;
  const wait = status === "pending" && votes.length > 0
    ? `; ${quorum - votes.length} more approver(s) needed`
    : "";
  writeReport(
    {
      data: approvalData(approval),
      table: () => `${done}: ${approval.requestId} (status: ${status}${wait})\n`,
    },
    flags.output,
    terminal,
  );
  return ExitCode.OK;
}

/** `approvals watch`: pending requests, then every change; 0 at Ctrl-C. */
export function watchApprovals(
  command: CommandNamed<"approvals watch">,
  session: Session,
): Promise<ExitCode> {
  const { terminal, input, flags } = session;
  if (command.interactive && !(input.interactive && terminal.interactive)) {
    throw new CommandError(
      "--interactive needs a terminal on both ends",
      ExitCode.USAGE,
      "leave it out to have every change as a line",
    );
  }
  return withGateway(session, async (gateway) => {
    const client = gateway.client(approvals.ApprovalAdminService);
    if (command.interactive) return await watchInteractively(gateway, client, session);
    const stream = client.watchApprovals({ backlog: true }, await gateway.operatorStream());
    try {
      for await (const notice of stream) {
        terminal.out(
          flags.output === "table"
            ? `${noticeLine(notice, terminal)}\n`
            : asText(noticeData(notice), flags.output),
        );
      }
    } catch (error) {
      if (!session.signal.aborted) throw error;
    }
    return ExitCode.OK;
  });
}

function asText(data: Data, form: "json" | "yaml"): string {
  return form === "json" ? `${jsonText(data)}\n` : `---\n${yamlText(data)}`;
}

function noticeData({ change, approval }: approvals.ApprovalNotice): Data {
  return { change, approval: approval === undefined ? null : approvalData(approval) };
}
