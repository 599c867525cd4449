/**
 * `aasm version`: this program and the gateway it would talk to. An unreachable gateway is an
 * answer here, not a failure.
 *
 * @module
 */
import { VERSION } from "../../core/version.ts";
import { CommandError, ExitCode } from "../exit_code.ts";
import { withGateway } from "../gateway_connection.ts";
import { fields } from "../render/fields.ts";
import { writeReport } from "../render/report.ts";
import type { Session } from "../session.ts";

/** `version`: always 0. */
export async function showVersion(session: Session): Promise<ExitCode> {
  let gateway: string | undefined;
  let why = "";
  try {
    gateway = await withGateway(session, async (connection) => {
      const status = await connection.admin.getStatus({}, await connection.operator());
      return status.version;
    });
  } catch (error) {
    if (!(error instanceof CommandError)) throw error;
    why = error.message;
  }
  const { text } = session.flags.gateway;
  writeReport(
    {
      data: {
        cli: VERSION,
        gateway: gateway ?? null,
        address: text,
        error: why === "" ? null : why,
      },
      table: (terminal) =>
        fields([
          { name: "cli", value: VERSION },
          gateway === undefined
            ? { name: "gateway", value: `unknown: ${why}`, tone: "caution" }
            : { name: "gateway", value: `${gateway} at ${text}` },
        ], terminal),
    },
    session.flags.output,
    session.terminal,
  );
  return ExitCode.OK;
}
