import assert from "node:assert/strict";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { Code, GrpcError, type ServiceHandlers } from "../../grpc/mod.ts";
import { approvals } from "../../proto/mod.ts";
import { type Input, type Key, keysIn, NO_INPUT } from "../input.ts";
import { fakeGateway, TOKEN } from "../testing/fake_gateway.ts";
import { NOW_MS, runCli } from "../testing/run_cli.ts";

const ID = "00000000-0000-4000-8000-000000000001";
const DIGEST = `sha256:${"ab".repeat(32)}`;

type Init = Exclude<MessageInitShape<typeof approvals.ApprovalSchema>, { $typeName: string }>;
type Handlers = Partial<ServiceHandlers<typeof approvals.ApprovalAdminService>>;

const PENDING: Init = {
  requestId: ID,
  status: "pending",
  agentId: "researcher-1",
  assurance: "bound",
  actionKind: "tool_call",
  resource: "deploy",
  askedBy: "policy",
  rule: "tools.deploy.requires_approval_if",
  ruleAt: "policy.yaml:7:3",
  microUsd: 1_250_000n,
  digest: DIGEST,
  submittedAtUnixMs: BigInt(NOW_MS - 10_000),
  expiresAtUnixMs: BigInt(NOW_MS + 170_000),
  routingStatus: "routed_to_team_admin",
  targets: ["team_admin"],
  quorum: 1,
};

function gatewayWith(handlers: Handlers) {
  return fakeGateway({
    serve: (server) =>
      server.addService(approvals.ApprovalAdminService, handlers, {
        interceptors: [({ metadata }) => {
          if (metadata.get("authorization") === `Bearer ${TOKEN}`) return;
          throw new GrpcError("operator token is invalid", Code.UNAUTHENTICATED);
        }],
      }),
  });
}

function shown(change: Init = {}, text = '{"to":"prod"}') {
  return () =>
    create(approvals.GetApprovalResponseSchema, {
      approval: { ...PENDING, ...change },
      shownText: text,
      shownTextHeld: true,
    });
}

function decided(status: string) {
  return create(approvals.DecideApprovalResponseSchema, { approval: { ...PENDING, status } });
}

function typing(...lines: string[]): Input {
  return {
    interactive: true,
    line: () => Promise.resolve(lines.shift()),
    all: () => Promise.resolve(new Uint8Array()),
    keys: async function* () {},
  };
}

Deno.test("approvals list shows what waits, how long, and at what price", async () => {
  await using gateway = await gatewayWith({
    listApprovals: ({ status, agent }) => {
      assert.deepEqual([status, agent], ["pending", "researcher-1"]);
      return create(approvals.ListApprovalsResponseSchema, { approvals: [PENDING], total: 1 });
    },
  });
  const argv = ["approvals", "list", "--agent", "researcher-1"];
  const { code, out } = await runCli([...gateway.flags, ...argv]);
  assert.equal(code, 0);
  assert.match(out, /^ID +AGENT +ACTION +STATUS +TIMEOUT_IN +PRICE +ROUTING$/m);
  assert.match(
    out,
    /researcher-1 +tool_call deploy +pending +2m 50s +\$1\.25 +routed_to_team_admin/,
  );
  const coloured = await runCli([...gateway.flags, ...argv], { colors: true });
  assert.ok(coloured.out.includes("\u001b[33m2m 50s"));
  const json = JSON.parse((await runCli([...gateway.flags, ...argv, "--output", "json"])).out);
  assert.equal(json[0].micro_usd, 1_250_000);
  assert.equal(json[0].digest, DIGEST);
});

Deno.test("trap: approvals list follows every page and says what it left out", async () => {
  const pages: number[] = [];
  await using gateway = await gatewayWith({
    listApprovals: ({ page, perPage }) => {
      pages.push(page);
      const count = page === 3 ? 50 : perPage;
      return create(approvals.ListApprovalsResponseSchema, {
        approvals: Array.from({ length: count }, () => PENDING),
        total: 250,
      });
    },
  });
  const all = await runCli([...gateway.flags, "approvals", "list", "--limit", "1000"]);
  assert.deepEqual(pages, [1, 2, 3]);
  assert.equal(all.out.trimEnd().split("\n").length, 251);
  const some = await runCli([...gateway.flags, "approvals", "list", "--limit", "5"]);
  assert.match(some.err, /note: 245 more; raise --limit/);
});

Deno.test("approvals get shows the text, the digest, the rule; hostile text cannot move the cursor", async () => {
  await using gateway = await gatewayWith({
    getApproval: shown({ resource: "deploy\u001b[2K" }, '{"x":"\u001b[31m"}'),
  });
  const { out } = await runCli([...gateway.flags, "approvals", "get", ID]);
  assert.match(out, new RegExp(`digest +${DIGEST}`));
  assert.match(out, /rule +tools\.deploy\.requires_approval_if \(policy\.yaml:7:3\)/);
  assert.match(out, /what would happen\n\{"x":"\\u001b\[31m"\}/);
  assert.ok(!out.includes("\u001b"));
});

Deno.test("approve shows what is approved, asks, and sends the digest that was shown", async () => {
  const sent: unknown[] = [];
  await using gateway = await gatewayWith({
    getApproval: shown(),
    approveApproval: ({ requestId, expectedDigest, reason, conditions }) => {
      sent.push([requestId, expectedDigest, reason, conditions]);
      return decided("approved");
    },
  });
  const argv = [...gateway.flags, "approvals", "approve", ID, "--reason", "ok"];
  const refused = await runCli(argv, { input: typing("") });
  assert.equal(refused.code, 1);
  assert.deepEqual(sent, [], "no answer is a no");
  const condition = "until 2026-01-07T13:00:00Z";
  const agreed = await runCli([...argv, "--condition", condition], { input: typing("y") });
  assert.equal(agreed.code, 0);
  assert.match(agreed.err, /"to":"prod"[\s\S]*Let exactly this happen\? \[y\/N\]/);
  assert.equal(agreed.out, `Approved: ${ID} (status: approved)\n`);
  assert.deepEqual(sent, [[ID, DIGEST, "ok", [condition]]]);
});

Deno.test("approve without a terminal needs --yes, and --digest must be the one that is there", async () => {
  let approved = 0;
  await using gateway = await gatewayWith({
    getApproval: shown(),
    approveApproval: () => {
      approved++;
      return decided("approved");
    },
  });
  const argv = [...gateway.flags, "approvals", "approve", ID];
  const bare = await runCli(argv);
  assert.equal(bare.code, 2);
  assert.match(bare.err, /nobody is there to confirm/);
  const wrong = await runCli([...argv, "--yes", "--digest", "sha256:other"]);
  assert.equal(wrong.code, 1);
  assert.match(wrong.err, /has the digest `sha256:abab.*`, not `sha256:other`/);
  assert.equal(approved, 0);
  assert.equal((await runCli([...argv, "--yes", "--digest", DIGEST])).code, 0);
  assert.equal(approved, 1);
});

Deno.test("reject takes its reason from the flag or from standard input, and is refused without", async () => {
  const reasons: string[] = [];
  await using gateway = await gatewayWith({
    rejectApproval: ({ reason }) => {
      reasons.push(reason);
      return decided("rejected");
    },
    forwardApproval: ({ to }) => {
      reasons.push(`to ${to}`);
      return decided("pending");
    },
    revokeApproval: () => {
      throw new GrpcError("already decided: the request is spent", Code.ABORTED);
    },
  });
  const argv = [...gateway.flags, "approvals", "reject", ID];
  const { out } = await runCli([...argv, "--reason", "no"]);
  assert.equal(out, `Rejected: ${ID} (status: rejected)\n`);
  await runCli(argv, { input: typing("not today") });
  const none = await runCli(argv, { input: typing(" ") });
  assert.equal(none.code, 2);
  assert.match(none.err, /a rejection needs a reason/);
  await runCli([...gateway.flags, "approvals", "forward", ID, "--to", "alice"]);
  assert.deepEqual(reasons, ["no", "not today", "to alice"]);
  const late = await runCli([...gateway.flags, "approvals", "revoke", ID, "--reason", "x"]);
  assert.equal(late.code, 1);
  assert.match(late.err, /already decided: the request is spent/);
});

Deno.test("watch writes a line for every change, in the form that programs of the reference read", async () => {
  await using gateway = await gatewayWith({
    watchApprovals: async function* () {
      yield create(approvals.ApprovalNoticeSchema, { change: "pending", approval: PENDING });
      yield create(approvals.ApprovalNoticeSchema, {
        change: "rejected",
        approval: {
          ...PENDING,
          status: "rejected",
          reason: "no",
          votes: [{ by: "operator:alice", verdict: "reject" }],
        },
      });
    },
  });
  const { code, out } = await runCli([...gateway.flags, "approvals", "watch"]);
  assert.equal(code, 0);
  assert.equal(
    out,
    `NEW ${ID} | agent=researcher-1 | action=tool_call deploy | ` +
      "condition=tools.deploy.requires_approval_if\n" +
      `REJECTED ${ID} | agent=researcher-1 | action=tool_call deploy | status=rejected | ` +
      "by=operator:alice | reason=no\n",
  );
  const refused = await runCli([...gateway.flags, "approvals", "watch", "-i"]);
  assert.equal(refused.code, 2);
  assert.match(refused.err, /--interactive needs a terminal on both ends/);
});

Deno.test("watch -i: arrows choose, `a` and `y` approve what is shown, `r` takes a reason, `q` ends", async () => {
  const done: string[] = [];
  const second = "00000000-0000-4000-8000-000000000002";
  const third = "00000000-0000-4000-8000-000000000003";
  const ready = Promise.withResolvers<void>();
  await using gateway = await gatewayWith({
    watchApprovals: async function* (_request, { signal }) {
      for (const requestId of [ID, second, third]) {
        const approval = { ...PENDING, requestId };
        yield create(approvals.ApprovalNoticeSchema, { change: "pending", approval });
      }
      await new Promise((resolve) => signal.addEventListener("abort", resolve));
    },
    getApproval: ({ requestId }) => shown({ requestId })(),
    approveApproval: ({ requestId, expectedDigest }) => {
      done.push(`approve ${requestId} ${expectedDigest === DIGEST}`);
      return decided("approved");
    },
    rejectApproval: ({ requestId, reason }) => {
      done.push(`reject ${requestId}: ${reason}`);
      throw new GrpcError("already decided: the request is spent", Code.ABORTED);
    },
  });
  let screen = "";
  const keys = async function* (): AsyncGenerator<Key> {
    await ready.promise;
    yield* keysIn("\u001b[Bay");
    yield* keysIn("an");
    yield* keysIn("\u001b[Brnoo\u007f way\r");
    yield* keysIn("q");
  };
  const { code, out } = await runCli([...gateway.flags, "approvals", "watch", "-i"], {
    interactive: true,
    input: { ...NO_INPUT, interactive: true, keys },
    onOut: (text) => {
      screen = text;
      if (screen.includes("3 pending")) ready.resolve();
    },
  });
  assert.equal(code, 0);
  assert.deepEqual(done, [`approve ${second} true`, `reject ${third}: no way`]);
  assert.match(out, /Let exactly this happen\?/);
  assert.match(out, /refused: already decided/);
  assert.match(out, /not approved/);
});

Deno.test("keys: sequences that mean nothing here type nothing", () => {
  assert.deepEqual([...keysIn("\u001b[A\u001b[3~\u001b[1;5Cé\u0003\r")], [
    "up",
    { text: "é" },
    "enter",
  ]);
});
