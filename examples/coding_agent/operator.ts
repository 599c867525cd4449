/**
 * The operator's side: reads the token that the gateway wrote to its state directory, and uses it.
 *
 * @module
 */
import { type Channel, type Client, createClient, Metadata } from "../../grpc/mod.ts";
import { AdminService } from "../../proto/gen/assembly/admin/v1/admin_pb.ts";

/** What the demo's operator can do. */
export class Operator {
  readonly #client: Client<typeof AdminService>;
  readonly #metadata: Metadata;

  private constructor(channel: Channel, token: string) {
    this.#client = createClient(AdminService, channel);
    this.#metadata = new Metadata().set("authorization", `Bearer ${token}`);
  }

  /** Signs in with the token file of a gateway's state directory. */
  static async signIn(channel: Channel, state_dir: string): Promise<Operator> {
    const token = await Deno.readTextFile(`${state_dir}/operator.token`);
    return new Operator(channel, token.trim());
  }

  /** Stops an agent; every question it asks is denied from now on. Returns its new status. */
  async suspend(agent_id: string, reason: string): Promise<string> {
    const request = { agent: agent_id, reason };
    const { agent } = await this.#client.suspendAgent(request, { metadata: this.#metadata });
    return agent?.status ?? "";
  }

  /** Lets it act again. Returns its new status. */
  async resume(agent_id: string, reason: string): Promise<string> {
    const request = { agent: agent_id, reason };
    const { agent } = await this.#client.resumeAgent(request, { metadata: this.#metadata });
    return agent?.status ?? "";
  }

  /** Public key of the log, C2SP verifier-key text: what a verifier pins beforehand. */
  async verifierKey(): Promise<string> {
    const { audit } = await this.#client.getStatus({}, { metadata: this.#metadata });
    return audit?.verifierKey ?? "";
  }
}
