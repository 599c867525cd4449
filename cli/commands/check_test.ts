import assert from "node:assert/strict";
import { create, toBinary } from "@bufbuild/protobuf";
import { Code, GrpcError } from "../../grpc/mod.ts";
import { explanationToWire } from "../../proto/mapping.ts";
import { admin, common, policy } from "../../proto/mod.ts";
import type { Explanation } from "../../core/verdict.ts";
import { fakeGateway, type PolicyHandlers } from "../testing/fake_gateway.ts";
import { runCli } from "../testing/run_cli.ts";

const RULE = {
  file: "policies/team.yaml",
  line: 12,
  column: 7,
  path: "tools.bash.allow",
  policy_doc_id: "sha256:00",
};

const EXPLANATION: Explanation = {
  outcome: "deny",
  reason: "tool denied by policy",
  rule: RULE,
  summary: "Denied by `tools.bash.allow`.",
  considered: [
    { stage: "status", result: "pass", detail: "the agent is active" },
    { stage: "tool", result: "deny", detail: "entry `bash` says no", rule: RULE },
  ],
  changes: [{
    text: "set `tools.bash.allow` to `true`",
    rule: RULE,
    yaml: "bash:\n  allow: true\n",
    who: "org_admin",
  }],
};

/** Answers every question with one decision and the explanation. */
function answering(
  decision: number,
  seen: policy.CheckActionRequest[] = [],
  difference: { reason?: string; redact?: policy.RedactInstructions } = {},
): PolicyHandlers {
  return {
    checkAction: (request, context) => {
      seen.push(request);
      context.trailers.set("aasm-audit-index", "41");
      if (context.metadata.get("aasm-explain") === "1") {
        const bytes = toBinary(admin.ExplanationSchema, explanationToWire(EXPLANATION));
        context.trailers.setBinary("aasm-explanation-bin", bytes);
      }
      return create(policy.CheckActionResponseSchema, {
        decision,
        reason: "tool denied by policy",
        policyRule: "tool denied by policy",
        decisionLatencyUs: 80n,
        agentIdentityAssurance: common.AgentIdentityAssurance.ASSERTED,
        ...difference,
      });
    },
  };
}

Deno.test("a denial shows rule with file and line, what was considered, the smallest change and who may make it", async () => {
  await using gateway = await fakeGateway({ policy: answering(2) });
  const { code, out, err } = await runCli([...gateway.flags, "check", "tool", "bash"]);
  assert.equal(code, 3);
  assert.equal(err, "");
  assert.equal(
    out,
    [
      "DENY  tool denied by policy",
      "rule        tools.bash.allow",
      "at          policies/team.yaml:12:7",
      "identity    asserted",
      "decided in  80 µs",
      "recorded    entry 41",
      "",
      "why",
      "  Denied by `tools.bash.allow`.",
      "",
      "considered",
      "  pass  status         the agent is active",
      "  deny  tool           entry `bash` says no  policies/team.yaml:12:7",
      "",
      "to allow it",
      "  set `tools.bash.allow` to `true`  policies/team.yaml:12:7  (org_admin)",
      "      bash:",
      "        allow: true",
      "",
    ].join("\n"),
  );
});

Deno.test("exit codes: 0 allow and redact, 3 deny, 4 pending; unspecified and unknown are denials", async () => {
  for (const [decision, code] of [[1, 0], [4, 0], [2, 3], [3, 4], [0, 3], [9, 3]] as const) {
    await using gateway = await fakeGateway({ policy: answering(decision) });
    const finished = await runCli([...gateway.flags, "check", "tool", "x"]);
    assert.equal(finished.code, code, `decision ${decision}`);
  }
});

Deno.test("a call that a person must agree to comes back with a token, waits only when told, and is asked again with it", async () => {
  const said: (string | undefined)[][] = [];
  const handlers: PolicyHandlers = {
    checkAction: (_request, context) => {
      const { metadata } = context;
      said.push([metadata.get("aasm-approval"), metadata.get("aasm-resume")]);
      context.trailers.set("aasm-resume", "come-back");
      return create(policy.CheckActionResponseSchema, { decision: 3 });
    },
  };
  await using gateway = await fakeGateway({ policy: handlers });
  const first = await runCli([...gateway.flags, "check", "tool", "x"]);
  assert.equal(first.code, 4);
  assert.match(first.out, /then +the same command with --resume come-back/);
  await runCli([...gateway.flags, "check", "--wait", "tool", "x"]);
  const json = ["--output", "json", "check", "--resume", "come-back", "tool", "x"];
  const again = await runCli([...gateway.flags, ...json]);
  assert.equal(JSON.parse(again.out).resume_token, "come-back");
  assert.deepEqual(said, [["defer", undefined], [undefined, undefined], ["defer", "come-back"]]);
});

Deno.test("the question carries the claimed agent, its token, the trace and the action", async () => {
  const seen: policy.CheckActionRequest[] = [];
  await using gateway = await fakeGateway({ policy: answering(1, seen) });
  const who = ["--agent", "a1", "--org", "o", "--team", "t", "--token", "tok", "--trace", "tr"];
  await runCli([...gateway.flags, "check", ...who, "file", "create", "/x y"]);
  const [request] = seen;
  assert.deepEqual(
    [request?.agentId?.orgId, request?.agentId?.teamId, request?.agentId?.agentId],
    ["o", "t", "a1"],
  );
  assert.equal(request?.credentialToken, "tok");
  assert.equal(request?.traceId, "tr");
  assert.equal(request?.actionType, common.ActionType.FILE_OPERATION);
  const action = request?.context?.action;
  assert(action?.case === "fileOp");
  assert.deepEqual([action.value.operation, action.value.path], ["create", "/x y"]);
});

Deno.test("nobody claimed is nobody sent, and each question has its own trace", async () => {
  const seen: policy.CheckActionRequest[] = [];
  await using gateway = await fakeGateway({ policy: answering(1, seen) });
  await runCli([...gateway.flags, "check", "tool", "x"]);
  await runCli([...gateway.flags, "check", "tool", "x"]);
  assert.equal(seen[0]?.agentId, undefined);
  assert.notEqual(seen[0]?.traceId, "");
  assert.notEqual(seen[0]?.traceId, seen[1]?.traceId);
});

Deno.test("--token @FILE and result --file read what the file holds", async () => {
  const seen: policy.CheckActionRequest[] = [];
  await using gateway = await fakeGateway({ policy: answering(1, seen) });
  const token = await Deno.makeTempFile();
  const result = await Deno.makeTempFile();
  try {
    await Deno.writeTextFile(token, "secret-token\n");
    await Deno.writeFile(result, new Uint8Array([0xff, 10]));
    const argv = ["check", "--token", `@${token}`, "result", "t", "--file", result];
    assert.equal((await runCli([...gateway.flags, ...argv])).code, 0);
    assert.equal(seen[0]?.credentialToken, "secret-token");
    const action = seen[0]?.context?.action;
    assert(action?.case === "toolResult");
    assert.equal(action.value.resultJson.toHex(), "ff0a");
  } finally {
    await Deno.remove(token);
    await Deno.remove(result);
  }
});

Deno.test("JSON output carries decision, verdict, audit index and the whole explanation", async () => {
  const redact = create(policy.RedactInstructionsSchema, {
    rules: [{ fieldPath: "$.AwsAccessKey", replacement: "[REDACTED]" }],
  });
  await using gateway = await fakeGateway({ policy: answering(4, [], { redact }) });
  const { out } = await runCli([...gateway.flags, "--output", "json", "check", "tool", "x"]);
  const data = JSON.parse(out);
  assert.equal(data.decision, "redact");
  assert.equal(data.verdict, "scrub");
  assert.equal(data.audit_index, 41);
  assert.deepEqual(data.redact, [{ field_path: "$.AwsAccessKey", replacement: "[REDACTED]" }]);
  assert.equal(data.explanation.rule.line, 12);
  assert.equal(data.explanation.changes[0].who, "org_admin");
});

Deno.test("a dry run asks for an explanation only, with the operator token", async () => {
  let asked = 0;
  await using gateway = await fakeGateway({
    admin: {
      explainAction: ({ request }) => {
        asked++;
        assert.equal(request?.context?.action.case, "processExec");
        return create(admin.ExplainActionResponseSchema, {
          response: { decision: 2, reason: "no" },
          explanation: explanationToWire(EXPLANATION),
        });
      },
    },
  });
  const { code, out } = await runCli([
    ...gateway.flags,
    "check",
    "--dry-run",
    "exec",
    "--",
    "rm",
    "-rf",
  ]);
  assert.equal(code, 3);
  assert.equal(asked, 1);
  assert.match(out, /recorded {4}no, this was a dry run/);
});

Deno.test("a gateway that explains nothing still gives its verdict, and the absence is named", async () => {
  await using gateway = await fakeGateway({
    policy: {
      checkAction: () => create(policy.CheckActionResponseSchema, { decision: 2, reason: "no" }),
    },
  });
  const { code, out } = await runCli([...gateway.flags, "check", "tool", "x"]);
  assert.equal(code, 3);
  assert.match(out, /^DENY {2}no$/m);
  assert.match(out, /recorded {4}the gateway does not say/);
  assert.match(out, /note: no explanation: this gateway sends none/);
});

Deno.test("an explanation that cannot be read is said to be so, whatever bytes came", async () => {
  for (const bytes of [new Uint8Array([0xff, 0xff]), new Uint8Array([0x0a, 1, 0x78])]) {
    await using gateway = await fakeGateway({
      policy: {
        checkAction: (_request, context) => {
          context.trailers.setBinary("aasm-explanation-bin", bytes);
          return create(policy.CheckActionResponseSchema, { decision: 1 });
        },
      },
    });
    const { code, out } = await runCli([...gateway.flags, "check", "tool", "x"]);
    assert.equal(code, 0);
    assert.match(out, /note: no explanation: /);
  }
});

Deno.test("a reason from the gateway cannot write to the terminal what it likes", async () => {
  await using gateway = await fakeGateway({
    policy: answering(2, [], { reason: "\u001b[2J\u001b[32mALLOW" }),
  });
  const { out } = await runCli([...gateway.flags, "check", "tool", "x"], {
    interactive: true,
    colors: true,
  });
  assert(!out.includes("\u001b[2J"));
  assert(out.includes("\\u001b[2J\\u001b[32mALLOW"));
});

Deno.test("what the gateway cannot record is a failure, not an unreachable gateway and not an allow", async () => {
  await using gateway = await fakeGateway({
    policy: {
      checkAction: () => {
        throw new GrpcError("decision withheld: it could not be recorded", Code.UNAVAILABLE);
      },
    },
  });
  const { code, out, err } = await runCli([...gateway.flags, "check", "tool", "x"]);
  assert.equal(code, 1);
  assert.equal(out, "");
  assert.match(err, /^error: the gateway at `127\.0\.0\.1:\d+` refused: decision withheld/);
});

Deno.test("a malformed question is wrong usage, in the gateway's words", async () => {
  await using gateway = await fakeGateway({
    policy: {
      checkAction: () => {
        throw new GrpcError("context: is missing", Code.INVALID_ARGUMENT);
      },
    },
  });
  const { code, err } = await runCli([...gateway.flags, "check", "tool", "x"]);
  assert.equal(code, 2);
  assert.equal(err, "error: context: is missing\n");
});
