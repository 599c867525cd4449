import assert from "node:assert/strict";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { Code, GrpcError } from "../../grpc/mod.ts";
import { admin } from "../../proto/mod.ts";
import { fakeGateway, TOKEN } from "../testing/fake_gateway.ts";
import { NOW_MS, runCli } from "../testing/run_cli.ts";

type StatusInit = Exclude<
  MessageInitShape<typeof admin.GetStatusResponseSchema>,
  admin.GetStatusResponse
>;

const STATUS: StatusInit = {
  version: "0.1.0",
  startedAtUnixMs: BigInt(NOW_MS - 60_000),
  listeners: ["127.0.0.1:50051"],
  policy: {
    state: "enforced",
    source: "policies/balanced.yaml",
    documents: 1,
    epoch: 3n,
    loadedAtUnixMs: BigInt(NOW_MS - 30_000),
  },
  audit: {
    state: "durable",
    entries: 12n,
    origin: "log",
    verifierKey: "log+0+k",
    directory: ".aasm/audit",
    checkpointSize: 12n,
    checkpointAtUnixMs: BigInt(NOW_MS - 1_000),
  },
  decisions: { allow: 9n, deny: 3n },
  agents: { active: 2n },
  components: [{ name: "scanner", state: "enforcing", detail: "runs on every action" }],
  counters: { "transport.connections": 4n },
};

function statusOf(difference: StatusInit = {}) {
  return {
    admin: {
      getStatus: () => create(admin.GetStatusResponseSchema, { ...STATUS, ...difference }),
    },
  };
}

Deno.test("status shows policy, record, counts and components", async () => {
  await using gateway = await fakeGateway(statusOf());
  const { code, out } = await runCli([...gateway.flags, "status"]);
  assert.equal(code, 0);
  assert.equal(
    out,
    [
      "gateway",
      "version     0.1.0",
      "up since    2026-01-07T11:59:00.000Z (1 min ago)",
      "listens on  127.0.0.1:50051",
      "",
      "policy",
      "state      enforced",
      "source     policies/balanced.yaml",
      "documents  1",
      "loaded     2026-01-07T11:59:30.000Z (30 s ago)",
      "",
      "record",
      "state       durable",
      "entries     12",
      "checkpoint  12 entries, 2026-01-07T11:59:59.000Z (1 s ago)",
      "origin      log",
      "key         log+0+k",
      "directory   .aasm/audit",
      "",
      "decisions",
      "allow  9",
      "deny   3",
      "",
      "agents",
      "active  2",
      "",
      "components",
      "NAME     STATE      DETAIL",
      "scanner  enforcing  runs on every action",
      "",
    ].join("\n"),
  );
});

Deno.test("status as YAML is the same data", async () => {
  await using gateway = await fakeGateway(statusOf());
  const { out } = await runCli([...gateway.flags, "status", "--output", "yaml"]);
  assert.match(out, /^healthy: true\nversion: 0\.1\.0\nstarted_at_unix_ms: 1767787140000\n/);
  assert.match(out, /^decisions:\n {2}allow: 9\n {2}deny: 3\n/m);
});

Deno.test("status is a failure while nothing is enforced, recorded, or a reload was refused", async () => {
  const { policy, audit } = STATUS;
  for (
    const difference of [
      { policy: { ...policy, state: "unconfigured" } },
      { policy: { ...policy, state: "degraded" } },
      { policy: { ...policy, state: "a new word" } },
      { audit: { ...audit, state: "failed" } },
    ] as StatusInit[]
  ) {
    await using gateway = await fakeGateway(statusOf(difference));
    assert.equal((await runCli([...gateway.flags, "status"])).code, 1);
  }
  await using gateway = await fakeGateway({
    admin: { getStatus: () => create(admin.GetStatusResponseSchema) },
  });
  assert.equal((await runCli([...gateway.flags, "status"])).code, 1, "an empty answer");
});

Deno.test("status --watch ends at Ctrl-C with the last state's code", async () => {
  await using gateway = await fakeGateway(statusOf());
  const interrupt = new AbortController();
  const { code, out } = await runCli([...gateway.flags, "status", "--watch"], {
    signal: interrupt.signal,
    onOut: () => interrupt.abort(),
  });
  assert.equal(code, 0);
  assert.equal(out.match(/^version/gm)?.length, 1);
});

Deno.test("an unreachable gateway is exit code 5 with a next step", async () => {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr as Deno.NetAddr;
  listener.close();
  const token = await Deno.makeTempFile();
  try {
    await Deno.writeTextFile(token, TOKEN);
    const { code, err } = await runCli(
      ["--gateway", `127.0.0.1:${port}`, "--token-file", token, "status"],
    );
    assert.equal(code, 5);
    assert.match(err, /^error: cannot reach the gateway at `127\.0\.0\.1:\d+`: /);
    assert.match(err, /^next: start it with `deno task gateway`, or name another with --gateway$/m);
  } finally {
    await Deno.remove(token);
  }
});

Deno.test("no answer within --timeout is exit code 5", async () => {
  const stuck = Promise.withResolvers<never>();
  await using gateway = await fakeGateway({
    admin: {
      getStatus: (_request, context) => {
        context.signal.addEventListener("abort", () => stuck.reject(new Error("cancelled")));
        return stuck.promise;
      },
    },
  });
  const { code, err } = await runCli([...gateway.flags, "--timeout", "1", "status"]);
  assert.equal(code, 5);
  assert.match(err, /gave no answer within 1 s/);
});

Deno.test("a wrong operator token is named by its file and never printed", async () => {
  await using gateway = await fakeGateway(statusOf());
  const token = await Deno.makeTempFile();
  try {
    await Deno.writeTextFile(token, "wrong-token");
    const argv = ["--gateway", `127.0.0.1:${gateway.port}`, "--token-file", token, "status"];
    const { code, err } = await runCli(argv);
    assert.equal(code, 1);
    assert.match(err, /refused the operator token from `.*`: operator token is invalid/);
    assert(!err.includes("wrong-token"));
  } finally {
    await Deno.remove(token);
  }
});

Deno.test("a token file that is missing or holds no token says which file and what to do", async () => {
  const missing = await runCli(["--token-file", "/nowhere/token", "status"]);
  assert.equal(missing.code, 1);
  assert.match(missing.err, /cannot read operator token `\/nowhere\/token`: no such file/);
  assert.match(missing.err, /name the file with --token-file/);
  const file = await Deno.makeTempFile();
  try {
    await Deno.writeTextFile(file, "two words");
    const { code, err } = await runCli(["--token-file", file, "status"]);
    assert.equal(code, 1);
    assert.match(err, /expected one line of printable characters/);
    assert(!err.includes("two words"));
  } finally {
    await Deno.remove(file);
  }
});

const AGENT: MessageInitShape<typeof admin.AgentSchema> = {
  key: "ab".repeat(16),
  agentId: { orgId: "o", teamId: "t", agentId: "a1" },
  name: "researcher",
  framework: "langgraph",
  version: "1.2",
  status: "active",
  riskTier: 3,
  lastHeartbeatUnixMs: BigInt(NOW_MS),
};

Deno.test("trap: agent list shows every page, not only the first", async () => {
  const pages = [["a1", "p2"], ["a2", "p3"], ["a3", ""]] as const;
  const tokens: string[] = [];
  await using gateway = await fakeGateway({
    admin: {
      listAgents: ({ pageToken, status }) => {
        tokens.push(pageToken);
        assert.equal(status, "active");
        const [agentId, nextPageToken] = pages[tokens.length - 1] ?? ["", ""];
        return create(admin.ListAgentsResponseSchema, {
          agents: [{ ...AGENT, agentId: { agentId } }],
          nextPageToken,
        });
      },
    },
  });
  const { code, out } = await runCli([...gateway.flags, "agent", "list", "--status", "active"]);
  assert.equal(code, 0);
  assert.deepEqual(tokens, ["", "p2", "p3"]);
  assert.equal(
    out.split("\n")[1],
    "a1     researcher  langgraph  1.2      active  high  -          2026-01-07T12:00:00.000Z  " +
      "ab".repeat(16),
  );
  assert.equal(out.trimEnd().split("\n").length, 4);
});

Deno.test("suspend and resume send the reason and show where it is recorded", async () => {
  const seen: string[] = [];
  const answer = (status: string, previousStatus: string) =>
    create(admin.ChangeAgentStatusResponseSchema, {
      agent: { ...AGENT, status },
      previousStatus,
      auditIndex: 7n,
    });
  await using gateway = await fakeGateway({
    admin: {
      suspendAgent: ({ agent, reason }) => {
        seen.push(`suspend ${agent}: ${reason}`);
        return answer("suspended", "active");
      },
      resumeAgent: ({ agent, reason }) => {
        seen.push(`resume ${agent}: ${reason}`);
        return answer("active", "suspended");
      },
    },
  });
  const suspend = ["agent", "suspend", "a1", "--reason", "odd"];
  const { code, out } = await runCli([...gateway.flags, ...suspend]);
  assert.equal(code, 0);
  assert.equal(out, "agent     a1\nbefore    active\nnow       suspended\nrecorded  entry 7\n");
  const resume = ["agent", "resume", "a1", "--reason", "fine", "--output", "json"];
  const resumed = JSON.parse((await runCli([...gateway.flags, ...resume])).out);
  assert.equal(resumed.audit_index, 7);
  assert.equal(resumed.agent.status, "active");
  assert.deepEqual(seen, ["suspend a1: odd", "resume a1: fine"]);
});

Deno.test("an operator without the scope learns which scope it takes", async () => {
  await using gateway = await fakeGateway({
    admin: {
      suspendAgent: () => {
        throw new GrpcError(
          "this call needs the write scope, operator `r` has read",
          Code.PERMISSION_DENIED,
        );
      },
    },
  });
  const argv = ["agent", "suspend", "a", "--reason", "r"];
  const { code, err } = await runCli([...gateway.flags, ...argv]);
  assert.equal(code, 1);
  assert.match(err, /needs the write scope/);
});

Deno.test("version answers with or without a gateway", async () => {
  await using gateway = await fakeGateway(statusOf());
  const both = await runCli([...gateway.flags, "version", "--output", "json"]);
  assert.equal(JSON.parse(both.out).gateway, "0.1.0");
  const alone = await runCli(["--token-file", "/nowhere", "version", "--output", "json"]);
  assert.equal(alone.code, 0);
  assert.equal(JSON.parse(alone.out).gateway, null);
  assert.match(JSON.parse(alone.out).error, /cannot read operator token/);
});

Deno.test("the operator token goes to the admin service and to nobody else", async () => {
  const seen: (string | undefined)[] = [];
  await using gateway = await fakeGateway({
    policy: {
      checkAction: (_request, context) => {
        seen.push(context.metadata.get("authorization"));
        throw new GrpcError("no", Code.INTERNAL);
      },
    },
  });
  await runCli([...gateway.flags, "check", "tool", "x"]);
  assert.deepEqual(seen, [undefined]);
});
