/**
 * The contract's answers, asked for by grpcio from Python.
 */
import assert from "node:assert/strict";
import { Channel } from "../../grpc/mod.ts";
import { inTemporaryDirectory, startGatewayProcess } from "../harness/gateway_process.ts";
import { registerAgent } from "../harness/agent.ts";
import { findPython, run } from "./python.ts";

const ROOT = new URL("../..", import.meta.url).pathname;
const NAME = "a Python grpcio client gets the contract's answers";

const POLICY = `
tools:
  read_file: { allow: true }
  "*": { allow: false }
`;

interface Answer {
  readonly status: string;
  readonly details?: string;
  readonly decision?: number;
  readonly decisions?: readonly number[];
  readonly reason?: string;
  readonly policy_rule?: string;
  readonly assurance?: number;
  readonly redact?: readonly (readonly string[])[];
  readonly trailers?: Readonly<Record<string, string>>;
  readonly bytes?: string;
}

Deno.test(NAME, async () => {
  await inTemporaryDirectory(async (directory) => {
    const python = await findPython(directory, [], NAME);
    if (python === undefined) return;
    await Deno.mkdir(`${directory}/generated`);
    await run("protoc", [
      `-I${ROOT}proto`,
      `--python_out=${directory}/generated`,
      `${ROOT}proto/assembly/common/v1/common.proto`,
      `${ROOT}proto/assembly/policy/v1/policy.proto`,
    ], directory);
    await Deno.writeTextFile(`${directory}/policy.yaml`, POLICY);
    const gateway = await startGatewayProcess(
      ["--policy", "policy.yaml", "--state-dir", "state"],
      directory,
    );
    try {
      const channel = new Channel(gateway.address);
      const agent = await registerAgent(channel, { org: "conformance" });
      await channel.close();
      const text = await run(python, [
        `${ROOT}tests/foreign/check_action.py`,
        gateway.address,
        `${directory}/generated`,
        agent.did,
        agent.token,
      ], directory);
      assertAnswers(JSON.parse(text));
      assert.equal(await gateway.stop(), 0, gateway.log());
    } finally {
      await gateway.kill().catch(() => {});
    }
  });
});

function assertAnswers(got: Readonly<Record<string, Answer>>): void {
  const expectVerdict = (
    name: string,
    decision: number,
    reason: string,
    rule: string,
    assurance = 2,
  ) => {
    const answer = got[name];
    assert.deepEqual(
      [answer?.status, answer?.decision, answer?.reason, answer?.policy_rule, answer?.assurance],
      ["OK", decision, reason, rule, assurance],
      `${name}: ${JSON.stringify(answer)}`,
    );
  };
  expectVerdict("allow", 1, "", "");
  expectVerdict("deny", 2, "tool denied by policy", "tool denied by policy");
  assert.equal(got["deny"]?.trailers?.["aasm-rule"], "tools.*.allow");
  assert.match(got["deny"]?.trailers?.["aasm-rule-at"] ?? "", /policy\.yaml:4:\d+$/);
  assert.match(got["deny"]?.trailers?.["aasm-audit-index"] ?? "", /^\d+$/);
  expectVerdict("redact", 4, "sensitive data detected", "data_pattern_scan");
  assert.deepEqual(got["redact"]?.redact, [["$.GitHubPat", "[REDACTED]"]]);
  expectVerdict("bound", 1, "", "", 3);
  const identity = "a2a_identity_verification";
  expectVerdict("identity_missing", 2, "missing credential token", identity);
  expectVerdict("identity_mismatch", 2, "credential token mismatch", identity);
  expectVerdict("identity_other", 2, "credential token registered to a different agent", identity);
  expectVerdict("unattributed", 1, "", "", 1);
  expectVerdict("unknown_enum", 1, "", "");
  const statuses = Object.fromEntries(
    Object.entries(got).map(([name, answer]) => [name, answer.status]),
  );
  assert.equal(statuses["no_context"], "INVALID_ARGUMENT");
  assert.equal(statuses["bad_file_operation"], "INVALID_ARGUMENT");
  assert.equal(statuses["undecodable"], "INTERNAL");
  assert.equal(statuses["empty"], "INVALID_ARGUMENT");
  assert.equal(statuses["oversized"], "RESOURCE_EXHAUSTED");
  assert.equal(statuses["unknown_method"], "UNIMPLEMENTED");
  assert.deepEqual(got["batch"]?.decisions, [1, 2, 1]);
  assert.equal(statuses["batch_malformed"], "INVALID_ARGUMENT");
  assert.equal(got["health"]?.bytes, "0801");
}
