/**
 * What stands around the agent: the real gateway in its own process, the SDK that asks it, and the
 * person who decides what it holds.
 *
 * @module
 */
import { type Channel, createClient, Metadata } from "../../grpc/mod.ts";
import { AdminService } from "../../proto/gen/assembly/admin/v1/admin_pb.ts";
import { ApprovalAdminService } from "../../proto/gen/assembly/admin/v1/approvals_pb.ts";
import { type Checker, type Guard, guardOf } from "../../sdk/adapters/mod.ts";
import { type GovernedAgent, PolicyViolationError } from "../../sdk/mod.ts";

/** One question that was answered, by the name that its evidence carries. */
export interface Answered {
  readonly span_id: string;
  readonly allowed: boolean;
}

/** A guard that remembers what was answered: the demo compares it with the log. */
export function recordingGuard(agent: GovernedAgent): { guard: Guard; answered: Answered[] } {
  const answered: Answered[] = [];
  let spans = 0;
  const checker: Checker = {
    async check(act, options) {
      const span_id = `demo-${++spans}`;
      try {
        const clearance = await agent.check(act, { ...options, operation: { span_id } });
        answered.push({ span_id, allowed: true });
        return clearance;
      } catch (error) {
        // No answer leaves no entry: there was nobody to write one.
        if (error instanceof PolicyViolationError) answered.push({ span_id, allowed: false });
        throw error;
      }
    },
  };
  return { guard: guardOf(checker), answered };
}

/** A person with an operator's token: another principal than the agent. */
export class Person {
  readonly #channel: Channel;
  readonly #options: { readonly metadata: Metadata };

  private constructor(channel: Channel, token: string) {
    this.#channel = channel;
    this.#options = { metadata: new Metadata().set("authorization", `Bearer ${token}`) };
  }

  /** Signs in with the token file of a gateway's state directory. */
  static async signIn(channel: Channel, state_dir: string): Promise<Person> {
    const token = await Deno.readTextFile(`${state_dir}/operator.token`);
    return new Person(channel, token.trim());
  }

  /**
   * Decides one held call by its id.
   *
   * @param approval_id From the notice that the agent's SDK gave.
   * @param why_not A reason rejects; none approves exactly the bytes that are shown.
   */
  async decide(approval_id: string, why_not?: string): Promise<void> {
    const approvals = createClient(ApprovalAdminService, this.#channel);
    const requestId = approval_id;
    if (why_not !== undefined) {
      await approvals.rejectApproval({ requestId, reason: why_not }, this.#options);
      return;
    }
    const { approval } = await approvals.getApproval({ requestId }, this.#options);
    const expectedDigest = approval?.digest ?? "";
    await approvals.approveApproval({ requestId, expectedDigest }, this.#options);
  }

  /** Public key of the log: what a verifier pins while the gateway runs. */
  async verifierKey(): Promise<string> {
    const { audit } = await createClient(AdminService, this.#channel).getStatus({}, this.#options);
    return audit?.verifierKey ?? "";
  }
}
