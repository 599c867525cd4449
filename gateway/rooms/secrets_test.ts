/**
 * Secrets over the gateway's own gRPC port.
 */
import assert from "node:assert/strict";
import { Code, createClient, Metadata } from "../../grpc/mod.ts";
import { AdminService } from "../../proto/gen/assembly/admin/v1/admin_pb.ts";
import { OperationsService } from "../../proto/gen/assembly/admin/v1/operations_pb.ts";
import { SecretAdminService } from "../../proto/gen/assembly/admin/v1/secrets_pb.ts";
import { EnforcementMode } from "../../proto/gen/assembly/common/v1/common_pb.ts";
import { PolicyService } from "../../proto/gen/assembly/policy/v1/policy_pb.ts";
import { SecretsService } from "../../proto/gen/assembly/secrets/v1/secrets_pb.ts";
import { registerAgent, type TestAgent } from "../../tests/harness/agent.ts";
import {
  codeOf,
  gatewayOver,
  refusalOf,
  type Running,
  withGateway,
} from "../../tests/harness/local_gateway.ts";

const POLICY = `
tools:
  http: { allow: true, limit_per_hour: 100 }
  github: { allow: true }
  shell: { allow: false }
  once: { allow: true, limit_per_hour: 1 }
`;
const KEYED = ["--secrets-key-file", "DIRECTORY/secrets.key"];
const VALUE = "tok-9f31c0ffee-4-the-test";
const encode = (text: string) => new TextEncoder().encode(text);
const decode = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

/** A gateway with a key, one agent of team `t`, and one secret `TOKEN` of that team. */
async function withSecret(
  use: (running: Running, agent: TestAgent) => Promise<void>,
): Promise<void> {
  const directory = await Deno.makeTempDir({ prefix: "aasm-secrets-" });
  try {
    await Deno.writeTextFile(`${directory}/policy.yaml`, POLICY);
    await Deno.writeTextFile(`${directory}/secrets.key`, `${"c1".repeat(32)}\n`, { mode: 0o600 });
    await gatewayOver(directory, KEYED, async (running) => {
      const agent = await registerAgent(running.channel, { org: "o", team: "t" });
      await secretsOf(running).registerSecret({
        ...{ orgId: "o", teamId: "t", name: "TOKEN", value: encode(VALUE) },
      }, running.operator);
      await use(running, agent);
    });
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

function secretsOf({ channel }: Running) {
  return createClient(SecretAdminService, channel);
}

function dispatch({ channel }: Running, agent: TestAgent | undefined, tool: string, args: string) {
  const metadata = new Metadata();
  if (agent !== undefined) metadata.set("x-aa-credential-token", agent.token);
  return createClient(SecretsService, channel).dispatchTool(
    { tool, argsJson: encode(args) },
    { metadata },
  );
}

async function check({ channel }: Running, agent: TestAgent, tool: string, args: string) {
  let index = 0n;
  const response = await createClient(PolicyService, channel).checkAction({
    agentId: { orgId: agent.org, teamId: agent.team, agentId: agent.did },
    credentialToken: agent.token,
    actionType: 2,
    context: {
      action: { case: "toolCall", value: { toolName: tool, argsJson: encode(args) } },
    },
  }, { onTrailers: (trailers) => index = BigInt(trailers.get("aasm-audit-index") ?? "-1") });
  return { decision: response.decision, index };
}

async function logText({ gateway }: Running): Promise<string> {
  const { entries } = await gateway.audit.list({ limit: 1_000 });
  return entries.map(({ line }) => line).join("\n");
}

const ARGS = '{"url":"https://x","auth":"Bearer ${TOKEN}","n":[1,"${TOKEN}"]}';

Deno.test("DispatchTool: replaces string leaves, names each occurrence, and tells the log the names only", async () => {
  await withSecret(async (running, agent) => {
    const answer = await dispatch(running, agent, "http", ARGS);
    assert.equal(decode(answer.resolvedArgsJson), ARGS.replaceAll("${TOKEN}", VALUE));
    assert.deepEqual(answer.namesSubstituted, ["TOKEN", "TOKEN"]);
    const log = await logText(running);
    assert.ok(!log.includes(VALUE.slice(0, 12)));
    const entry = log.split("\n").find((line) => line.includes("ToolDispatched"));
    const payload = JSON.parse(JSON.parse(entry ?? "{}").payload);
    assert.deepEqual(
      [payload.agent_id, payload.tool, payload.secrets],
      [agent.did, "http", [{ name: "TOKEN", version: 1 }]],
    );
    for (const file of ["registry.db", "registry.db-wal"]) {
      const bytes = await Deno.readFile(`${running.directory}/state/${file}`)
        .catch(() => new Uint8Array());
      assert.ok(!new TextDecoder("latin1").decode(bytes).includes(VALUE.slice(0, 12)), file);
    }
  });
});

Deno.test("DispatchTool: no caller, no JSON and no such secret are the contract's three refusals", async () => {
  await withSecret(async (running, agent) => {
    assert.equal(await codeOf(dispatch(running, undefined, "http", ARGS)), Code.UNAUTHENTICATED);
    assert.equal(await codeOf(dispatch(running, agent, "http", "{nope")), Code.INVALID_ARGUMENT);
    const unknown = await refusalOf(dispatch(running, agent, "http", '"${NOPE}"'));
    assert.deepEqual(
      [unknown.code, unknown.message],
      [Code.FAILED_PRECONDITION, "Unknown placeholder: ${NOPE}"],
    );
    const plain = await dispatch(running, agent, "anything", '{"a":"${lower}"}');
    assert.equal(decode(plain.resolvedArgsJson), '{"a":"${lower}"}');
    assert.deepEqual(plain.namesSubstituted, []);
  });
});

Deno.test("another team's secret is unknown, whatever the caller says", async () => {
  await withSecret(async (running) => {
    const stranger = await registerAgent(running.channel, { org: "o", team: "u" });
    const refused = await refusalOf(dispatch(running, stranger, "http", '"${TOKEN}"'));
    assert.equal(refused.message, "Unknown placeholder: ${TOKEN}");
  });
});

Deno.test("a secret goes only into a call that the policy allows, even in observe mode", async () => {
  await withSecret(async (running, agent) => {
    const denied = await refusalOf(dispatch(running, agent, "shell", '"${TOKEN}"'));
    assert.equal(denied.code, Code.PERMISSION_DENIED);
    assert.match(denied.message, /tool denied by policy/);
    await createClient(AdminService, running.channel).setEnforcementMode({
      agent: agent.did,
      mode: EnforcementMode.OBSERVE,
      reason: "trial",
      expiresAtUnixMs: BigInt(Date.now() + 3_600_000),
    }, running.operator);
    assert.equal((await check(running, agent, "shell", '"${TOKEN}"')).decision, 1, "observed");
    assert.equal(
      await codeOf(dispatch(running, agent, "shell", '"${TOKEN}"')),
      Code.PERMISSION_DENIED,
    );
  });
});

Deno.test("one allowed decision carries one dispatch of its bytes; the next is decided anew", async () => {
  await withSecret(async (running, agent) => {
    assert.equal((await check(running, agent, "once", '"${TOKEN}"')).decision, 1);
    assert.ok(await dispatch(running, agent, "once", '"${TOKEN}"'), "rides on that decision");
    const second = await refusalOf(dispatch(running, agent, "once", '"${TOKEN}"'));
    assert.match(second.message, /rate limit exceeded/, "its own decision has no token left");
  });
});

Deno.test("a decision does not carry other bytes, another policy or a later time", async () => {
  await withSecret(async (running, agent) => {
    await check(running, agent, "once", '"${TOKEN}"');
    assert.equal(
      await codeOf(dispatch(running, agent, "once", '"${TOKEN} "')),
      Code.PERMISSION_DENIED,
    );
    await Deno.writeTextFile(`${running.directory}/policy.yaml`, `${POLICY}\n# another\n`);
    await running.gateway.policy.reload();
    assert.equal(
      await codeOf(dispatch(running, agent, "once", '"${TOKEN}"')),
      Code.PERMISSION_DENIED,
    );
  });
  await withSecret(async (running, agent) => {
    await check(running, agent, "once", '"${TOKEN}"');
    running.advance(6 * 60_000);
    assert.equal(
      await codeOf(dispatch(running, agent, "once", '"${TOKEN}"')),
      Code.PERMISSION_DENIED,
    );
  });
});

Deno.test("a suspended agent and a halted fleet get no secret, not even on a decision of before", async () => {
  await withSecret(async (running, agent) => {
    const admin = createClient(AdminService, running.channel);
    const operations = createClient(OperationsService, running.channel);
    await check(running, agent, "http", '"${TOKEN}"');
    await admin.suspendAgent({ agent: agent.did, reason: "odd" }, running.operator);
    const suspended = await refusalOf(dispatch(running, agent, "http", '"${TOKEN}"'));
    assert.deepEqual(
      [suspended.code, suspended.message],
      [Code.PERMISSION_DENIED, "no secret is dispatched: agent suspended"],
    );
    await admin.resumeAgent({ agent: agent.did, reason: "fine" }, running.operator);
    await operations.haltAll({ action: "pause", reason: "incident" }, running.operator);
    const halted = await refusalOf(dispatch(running, agent, "http", '"${TOKEN}"'));
    assert.match(halted.message, /all operations paused by an operator/);
    await operations.liftHalt({ reason: "over" }, running.operator);
    assert.ok(await dispatch(running, agent, "http", '"${TOKEN}"'));
  });
});

Deno.test("without a key registering is refused with the next step, and status says unconfigured", async () => {
  await withGateway(POLICY, [], async (running) => {
    const agent = await registerAgent(running.channel, { org: "o", team: "t" });
    const refused = await refusalOf(
      secretsOf(running).registerSecret({ name: "A", value: encode("v") }, running.operator),
    );
    assert.equal(refused.code, Code.FAILED_PRECONDITION);
    assert.match(refused.message, /--secrets-key-file/);
    const unknown = await refusalOf(dispatch(running, agent, "http", '"${A}"'));
    assert.equal(unknown.code, Code.FAILED_PRECONDITION);
    assert.match(unknown.message, /^Unknown placeholder: \$\{A\}/);
    const { components } = await createClient(AdminService, running.channel)
      .getStatus({}, running.operator);
    assert.equal(components.find(({ name }) => name === "secrets")?.state, "unconfigured");
  });
});

Deno.test("a key that is configured and cannot be used keeps the gateway from starting", async () => {
  const directory = await Deno.makeTempDir({ prefix: "aasm-secrets-" });
  try {
    await Deno.writeTextFile(`${directory}/policy.yaml`, POLICY);
    const start = () => gatewayOver(directory, KEYED, () => Promise.resolve());
    await assert.rejects(start(), /cannot read the secrets key from file `.*`: no such file/);
    await Deno.writeTextFile(`${directory}/secrets.key`, "c1".repeat(32), { mode: 0o600 });
    await Deno.chmod(`${directory}/secrets.key`, 0o644);
    await assert.rejects(start(), /others may read it .*chmod 600/);
    await Deno.chmod(`${directory}/secrets.key`, 0o600);
    await start();
    await Deno.writeTextFile(`${directory}/secrets.key`, "hunter2");
    await assert.rejects(start(), (error: Error) => {
      assert.match(error.message, /line 1 is no key/);
      return !error.message.includes("hunter2");
    });
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

Deno.test("operators see names, never values; only the right role registers, and only for its tenant", async () => {
  await withSecret(async (running) => {
    const secrets = secretsOf(running);
    const listed = await secrets.listSecrets({ allTenants: true }, running.operator);
    assert.deepEqual(listed.secrets.map(({ name, version, orgId }) => [name, version, orgId]), [
      ["TOKEN", 1, "o"],
    ]);
    assert.ok(
      !JSON.stringify(listed, (_key, value) => typeof value === "bigint" ? 0 : value)
        .includes(VALUE),
    );
    const again = { orgId: "o", teamId: "t", name: "TOKEN", value: encode(VALUE) };
    assert.equal(
      await codeOf(secrets.registerSecret(again, running.operator)),
      Code.ALREADY_EXISTS,
    );
    assert.equal(
      await codeOf(secrets.deleteSecret({ ...again, name: "NOPE" }, running.operator)),
      Code.NOT_FOUND,
    );
    const { token } = await createClient(AdminService, running.channel)
      .createOperatorToken({ name: "reader", scope: "read" }, running.operator);
    const reader = { metadata: new Metadata().set("authorization", `Bearer ${token}`) };
    for (
      const call of [
        () => secrets.registerSecret(again, reader),
        () => secrets.deleteSecret(again, reader),
        () => secrets.rotateKey({}, reader),
        () => secrets.scanOutbound({ outbound: encode("x") }, reader),
      ]
    ) assert.equal(await codeOf(call()), Code.PERMISSION_DENIED);
    assert.equal(await codeOf(secrets.listSecrets({})), Code.UNAUTHENTICATED);
  });
});

Deno.test("ScanOutbound names what leaves, in any form, and one-call credentials as well", async () => {
  await withSecret(async (running) => {
    const scan = (text: string) =>
      secretsOf(running).scanOutbound({ outbound: encode(text) }, running.operator);
    assert.equal((await scan("nothing of interest")).verdict, "clean");
    const { verdict, hits } = await scan(`{"auth":"Basic ${btoa(`u:${VALUE}`)}"}`);
    assert.equal(verdict, "found");
    assert.deepEqual(hits.map(({ name, form, orgId, teamId }) => [name, form, orgId, teamId]), [
      ["TOKEN", "base64", "o", "t"],
    ]);
    await secretsOf(running).deleteSecret(
      { orgId: "o", teamId: "t", name: "TOKEN" },
      running.operator,
    );
    assert.equal((await scan(VALUE)).verdict, "found", "deleted, and still a secret");
  });
});

Deno.test("a one-call credential is issued for one allowed call, and gives its values once, to that call", async () => {
  await withSecret(async (running, agent) => {
    const secrets = secretsOf(running);
    const { index } = await check(running, agent, "http", "{}");
    const asked = { agent: agent.did, tool: "http", names: ["TOKEN"], auditIndex: index };
    for (
      const wrong of [
        { auditIndex: index + 1_000n },
        { auditIndex: 0n },
        { tool: "github" },
        { names: ["NOPE"] },
      ]
    ) {
      assert.equal(
        await codeOf(secrets.issueForAction({ ...asked, ...wrong }, running.operator)),
        Code.FAILED_PRECONDITION,
        JSON.stringify(Object.keys(wrong)),
      );
    }
    const { decision, index: denied } = await check(running, agent, "shell", "{}");
    assert.equal(decision, 2);
    const for_denied = { ...asked, tool: "shell", auditIndex: denied };
    assert.equal(
      await codeOf(secrets.issueForAction(for_denied, running.operator)),
      Code.FAILED_PRECONDITION,
    );
    const issued = await secrets.issueForAction(
      { ...asked, actionDigest: "sha256:1" },
      running.operator,
    );
    assert.match(issued.credential, /^aasm_once_[A-Za-z0-9_-]{43}$/);
    assert.equal(
      await codeOf(secrets.issueForAction(asked, running.operator)),
      Code.FAILED_PRECONDITION,
      "one decision, one credential",
    );
    const { verdict, hits } = await secrets.scanOutbound(
      { outbound: encode(`x ${issued.credential}`) },
      running.operator,
    );
    assert.deepEqual([verdict, hits[0]?.name], ["found", `one-call credential ${issued.id}`]);
    const call = {
      credential: issued.credential,
      agent: agent.did,
      tool: "http",
      actionDigest: "sha256:1",
    };
    for (const wrong of [{ tool: "github" }, { actionDigest: "sha256:2" }, { credential: "x" }]) {
      assert.equal(
        await codeOf(secrets.redeemForAction({ ...call, ...wrong }, running.operator)),
        Code.FAILED_PRECONDITION,
      );
    }
    const { values } = await secrets.redeemForAction(call, running.operator);
    assert.equal(decode(values["TOKEN"] ?? new Uint8Array()), VALUE);
    const again = await refusalOf(secrets.redeemForAction(call, running.operator));
    assert.match(again.message, /was used before/);
    const log = await logText(running);
    assert.ok(log.includes("one_call_credential_redeemed"));
    assert.ok(!log.includes(VALUE) && !log.includes(issued.credential));
  });
});

Deno.test("a one-call credential expires, and a clock set back does not revive it", async () => {
  await withSecret(async (running, agent) => {
    const secrets = secretsOf(running);
    const { index } = await check(running, agent, "http", "{}");
    const { credential } = await secrets.issueForAction({
      ...{ agent: agent.did, tool: "http", names: ["TOKEN"], auditIndex: index, lifeMs: 5_000 },
    }, running.operator);
    const call = { credential, agent: agent.did, tool: "http" };
    running.advance(5_001);
    assert.match(
      (await refusalOf(secrets.redeemForAction(call, running.operator))).message,
      /expired/,
    );
    running.advance(-60_000);
    assert.match(
      (await refusalOf(secrets.redeemForAction(call, running.operator))).message,
      /expired/,
    );
  });
});
