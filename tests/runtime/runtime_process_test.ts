/**
 * The runtime as a process, under exactly the launcher's permissions, with a real gateway behind it
 * and a client at its socket that speaks the protocol by hand.
 */
import assert from "node:assert/strict";
import { create } from "@bufbuild/protobuf";
import { encodeFrame } from "../../proto/ipc/mod.ts";
import { CHECK_ACTION_CLIENT_CODEC } from "../../proto/check_action_codec.ts";
import { common, policy } from "../../proto/mod.ts";
import { RawClient, reportFrame } from "../../runtime/ipc/ipc_fixture.ts";
import { startGatewayProcess } from "../harness/gateway_process.ts";
import { startRuntimeProcess } from "../harness/runtime_process.ts";

const POLICY = `
version: "1"
tools:
  search:
    allow: true
  bash:
    allow: false
`;

const NO_RULES = ["--no-local-policy"];

async function inPrivateDirectory(use: (directory: string) => Promise<void>): Promise<void> {
  const directory = await Deno.makeTempDir({ prefix: "aasm-runtime-" });
  await Deno.chmod(directory, 0o700);
  try {
    await use(directory);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

function askingFor(toolName: string): Uint8Array {
  return encodeFrame(
    1,
    CHECK_ACTION_CLIENT_CODEC.encode(create(policy.CheckActionRequestSchema, {
      agentId: { orgId: "acme", teamId: "ops", agentId: "agent-1" },
      traceId: "t",
      actionType: common.ActionType.TOOL_CALL,
      context: {
        action: {
          case: "toolCall",
          value: { toolName, argsJson: new TextEncoder().encode("{}") },
        },
      },
    })),
  );
}

async function healthOf(address: string): Promise<{
  status: string;
  rooms: Record<string, Record<string, unknown>>;
}> {
  return await (await fetch(`${address}/health`)).json();
}

Deno.test("a client's question reaches the gateway's policy, and a killed gateway denies at once", async () => {
  await inPrivateDirectory(async (directory) => {
    await Deno.writeTextFile(`${directory}/policy.yaml`, POLICY);
    const gateway = await startGatewayProcess(
      ["--policy", "policy.yaml", "--state-dir", "gateway-state"],
      directory,
    );
    const runtime = await startRuntimeProcess(
      [
        ...["--gateway", `http://${gateway.address}`, ...NO_RULES],
        ...["--org-id", "acme", "--team-id", "ops"],
      ],
      directory,
    );
    try {
      using client = await RawClient.join(runtime.socket);
      await client.send(askingFor("search"));
      await client.send(askingFor("bash"));
      const [allowed, denied] = [await client.answer(), await client.answer()];
      assert.equal(allowed.decision, common.Decision.ALLOW, allowed.reason);
      assert.equal(denied.decision, common.Decision.DENY);
      await gateway.kill();
      await client.send(askingFor("search"));
      const away = await client.answer();
      assert.equal(away.decision, common.Decision.DENY, away.reason);
    } finally {
      await runtime.stop();
      await gateway.kill().catch(() => {});
    }
  });
});

Deno.test({
  name: "a started runtime asks the kernel who its clients are, and says so",
  ignore: Deno.build.os !== "linux",
  fn: async () => {
    await inPrivateDirectory(async (directory) => {
      const runtime = await startRuntimeProcess(NO_RULES, directory);
      try {
        using client = await RawClient.join(runtime.socket);
        await client.send(askingFor("search"));
        assert.equal((await client.answer()).decision, common.Decision.DENY);
        const { status, rooms } = await healthOf(runtime.health);
        assert.equal(status, "healthy");
        assert.equal(rooms["ipc"]?.["peer_check"], "kernel");
      } finally {
        assert.equal(await runtime.stop(), 0, runtime.log());
      }
    });
  },
});

Deno.test("SIGTERM ends it cleanly: exit 0, its file gone, every line of its log one JSON object", async () => {
  await inPrivateDirectory(async (directory) => {
    const runtime = await startRuntimeProcess(NO_RULES, directory);
    using client = await RawClient.join(runtime.socket, "0.4.0+acks");
    await client.send(reportFrame("e1"));
    assert.equal((await client.next())?.tag, 3);
    assert.equal(await runtime.stop(), 0, runtime.log());
    assert.equal(await client.next(), undefined);
    assert.throws(() => Deno.lstatSync(runtime.socket), Deno.errors.NotFound);
    const lines = runtime.log().trimEnd().split("\n").map((line) => JSON.parse(line));
    assert.deepEqual(lines.map((line) => line.message).slice(-2), ["stopping", "stopped"]);
  });
});

Deno.test("after kill -9 the next one takes the stale socket, and has what was acknowledged", async () => {
  await inPrivateDirectory(async (directory) => {
    const first = await startRuntimeProcess(NO_RULES, directory);
    using client = await RawClient.join(first.socket, "0.4.0+acks");
    for (const id of ["e1", "e2"]) await client.send(reportFrame(id));
    for (let acks = 0; acks < 2; acks++) assert.equal((await client.next())?.tag, 3);
    await first.kill();
    assert.ok(Deno.lstatSync(first.socket).isSocket, "left behind");
    const second = await startRuntimeProcess(NO_RULES, directory);
    try {
      const kept = Number((await healthOf(second.health)).rooms["spool"]?.["kept_rows"]);
      assert.ok(kept >= 2, `kept ${kept}`);
      using again = await RawClient.join(second.socket);
      await again.send(askingFor("search"));
      await again.answer();
    } finally {
      await second.stop();
    }
  });
});

Deno.test("trap R12: an order in a file ends what waits and what comes, with no gateway in reach", async () => {
  await inPrivateDirectory(async (directory) => {
    await Deno.writeTextFile(`${directory}/orders`, "");
    await Deno.chmod(`${directory}/orders`, 0o644);
    const rules = `${directory}/policy.toml`;
    await Deno.writeTextFile(rules, '[[rules]]\nname = "none"\nblocked_actions = []\n');
    const runtime = await startRuntimeProcess(
      ["--orders", "orders", "--local-policy", "policy.toml"],
      directory,
    );
    try {
      using client = await RawClient.join(runtime.socket);
      await client.send(askingFor("search"));
      const free = await client.answer();
      await Deno.writeTextFile(`${directory}/orders`, "terminate *\n");
      let answer = free;
      for (const deadline_ms = performance.now() + 30_000; performance.now() < deadline_ms;) {
        await client.send(askingFor("search"));
        answer = await client.answer();
        if (answer.reason.startsWith("OpTerminatedError")) break;
      }
      assert.equal(free.decision, common.Decision.ALLOW, free.reason);
      assert.equal(answer.decision, common.Decision.DENY);
      assert.match(answer.reason, /^OpTerminatedError/);
    } finally {
      await runtime.stop();
    }
  });
});

/** Whether this test process, and so what it starts, holds CAP_SYS_ADMIN, CAP_PERFMON or CAP_BPF. */
function privileged(): boolean {
  // By a program: Deno reads nothing below `/proc` for anyone who was not given everything.
  const { stdout } = new Deno.Command("cat", { args: ["/proc/self/status"] }).outputSync();
  const line = /^CapEff:\s*([0-9a-f]+)$/m.exec(new TextDecoder().decode(stdout))?.[1];
  return (BigInt(`0x${line ?? "0"}`) & (1n << 21n | 1n << 38n | 1n << 39n)) !== 0n;
}

const PRIVILEGES =
  "a runtime with a kernel observer's privileges does not start unless that is permitted";

Deno.test(PRIVILEGES, async () => {
  if (Deno.build.os !== "linux" || !privileged()) {
    // deno-lint-ignore no-console
    console.log(
      `SKIPPED: ${PRIVILEGES}: needs a process with CAP_SYS_ADMIN, CAP_PERFMON or CAP_BPF`,
    );
    return;
  }
  await inPrivateDirectory(async (directory) => {
    await assert.rejects(
      startRuntimeProcess(NO_RULES, directory, []),
      /ended with 1[\s\S]*the runtime holds `CAP_SYS_ADMIN/,
    );
  });
});

Deno.test("the permission broker is served beside the socket, and its layer is attested beside the three", async () => {
  await inPrivateDirectory(async (directory) => {
    const runtime = await startRuntimeProcess(
      [...NO_RULES, "--broker-socket", "broker/b.sock"],
      directory,
    );
    try {
      const report = await (await fetch(`${runtime.health}/health`)).json();
      assert.equal(report.rooms.broker.state, "serving");
      assert.deepEqual(
        report.protection.attestation.components.map((one: { component: string }) => one.component),
        ["ebpf", "proxy", "sdk"],
      );
      assert.equal(report.protection.attestation.additional[0].component, "deno-broker");
      // An unmodified program, everything granted: without a policy nothing is allowed.
      await Deno.writeTextFile(`${directory}/agent.ts`, "Deno.readTextFileSync('/etc/hosts');");
      const agent = await new Deno.Command(Deno.execPath(), {
        args: ["run", "-A", "--no-config", `${directory}/agent.ts`],
        env: { DENO_PERMISSION_BROKER_PATH: `${directory}/broker/b.sock` },
        cwd: directory,
        stdin: "null",
        stdout: "null",
        stderr: "piped",
      }).output();
      assert.notEqual(agent.code, 0);
      assert.match(new TextDecoder().decode(agent.stderr), /unconfigured/);
    } finally {
      assert.equal(await runtime.stop(), 0, runtime.log());
    }
  });
});
