/**
 * Webhooks under exactly the launcher's permissions.
 */
import assert from "node:assert/strict";
import { Channel, createClient, Metadata } from "../../grpc/mod.ts";
import { PolicyService } from "../../proto/gen/assembly/policy/v1/policy_pb.ts";
import { registerAgent } from "../harness/agent.ts";
import { inTemporaryDirectory, startGatewayProcess } from "../harness/gateway_process.ts";

const POLICY = "tools: { deploy: { allow: true, requires_approval_if: 'tool == \"deploy\"' } }\n";

Deno.test("a gateway with nothing but its own grant tells a webhook by name, signed, without arguments", async () => {
  await inTemporaryDirectory(async (directory) => {
    await Deno.writeTextFile(`${directory}/policy.yaml`, POLICY);
    await Deno.writeTextFile(`${directory}/secret`, "0123456789abcdef\n");
    const told = Promise.withResolvers<{ signature: string; body: string }>();
    const server = Deno.serve(
      { hostname: "127.0.0.1", port: 0, onListen: () => {} },
      async (request) => {
        const body = await request.text();
        const signature = request.headers.get("aasm-signature") ?? "";
        if (body.includes("approval.requested")) told.resolve({ signature, body });
        return new Response();
      },
    );
    const gateway = await startGatewayProcess([
      ...["--policy", "policy.yaml", "--state-dir", "state", "--grace-ms", "200"],
      ...["--webhook", `http://localhost:${server.addr.port}/hook`, "--allow-private-webhook"],
      ...["--webhook-secret-file", "secret"],
    ], directory);
    const channel = new Channel(gateway.address);
    try {
      const agent = await registerAgent(channel);
      const args = new TextEncoder().encode('{"to":"PRODUCTION"}');
      const response = await createClient(PolicyService, channel).checkAction({
        agentId: { agentId: agent.did },
        credentialToken: agent.token,
        actionType: 2,
        context: { action: { case: "toolCall", value: { toolName: "deploy", argsJson: args } } },
      }, { metadata: new Metadata().set("aasm-approval", "defer") });
      const { signature, body } = await told.promise;
      assert.match(signature, /^t=\d+,v1=[0-9a-f]{64}$/);
      const { payload } = JSON.parse(body);
      assert.equal(payload.approval_id, response.approvalId);
      assert.equal(payload.resource, "deploy");
      assert.ok(!body.includes("PRODUCTION"));
    } finally {
      await channel.close();
      await gateway.stop();
      await server.shutdown();
    }
  });
});
