/**
 * A gateway with a web listener and a policy that allows, denies, redacts and asks a person.
 *
 * @module
 */
import { createClient } from "../../grpc/mod.ts";
import { approvals } from "../../proto/mod.ts";
import { type EmbeddedGateway, embeddedGateway } from "../harness/embedded_gateway.ts";

/** What the tests' agents live under. */
export const POLICY = `apiVersion: agent-assembly/v1
kind: Policy
metadata:
  name: sdk-tests
  version: "1.0.0"
spec:
  scope: global
  network:
    allowlist:
      - allowed.example
      - 127.0.0.1
  filesystem:
    read:
      allow:
        - /srv/readable
  tools:
    "*":
      allow: false
    search:
      allow: true
    push:
      allow: true
    pay:
      allow: true
      requires_approval_if: "args.amount > 10"
    llm_call:
      allow: true
  data:
    credential_action: redact_only
    sensitive_patterns:
      - 'PROJECT-[A-Z]{4,}'
`;

/** A token that only looks real. */
export const GITHUB_PAT = `ghp_${"a1B2c3D4e5".repeat(4).slice(0, 36)}`;

/** A running gateway with its two addresses. */
export interface GovernedWorld extends EmbeddedGateway {
  readonly grpc_url: string;
  readonly web_url: string;
  /** Approves or rejects the next request that waits, as an operator would. */
  decideNext(approve: boolean): Promise<void>;
}

/** Starts one. */
export async function governedWorld(flags: readonly string[] = []): Promise<GovernedWorld> {
  const gateway = await embeddedGateway(["--web-listen", "127.0.0.1:0", ...flags], POLICY);
  const { channel, operator } = gateway;
  const client = createClient(approvals.ApprovalAdminService, channel);
  const web_url = gateway.gateway.listeners.find((one) => one.startsWith("http")) ?? "";
  return {
    ...gateway,
    grpc_url: `http://${gateway.gateway.listeners[0]}`,
    web_url,
    decideNext: async (approve) => {
      for (const end_ms = Date.now() + 20_000; Date.now() < end_ms;) {
        const { approvals: list } = await client.listApprovals({}, { metadata: operator });
        const waiting = list.find((one) => one.status === "pending");
        if (waiting === undefined) {
          await new Promise((next) => setTimeout(next, 5));
          continue;
        }
        const { requestId, digest: expectedDigest } = waiting;
        const seen = { requestId, expectedDigest };
        if (approve) await client.approveApproval(seen, { metadata: operator });
        else await client.rejectApproval({ requestId, reason: "no" }, { metadata: operator });
        return;
      }
      throw new Error("nothing waited for approval");
    },
  };
}
