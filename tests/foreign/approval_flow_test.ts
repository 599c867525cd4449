/**
 * The reference's approval flow, driven by grpcio from Python: two agents of one team, a held call,
 * another principal's word, and everything that must not work.
 */
import assert from "node:assert/strict";
import { inTemporaryDirectory, startGatewayProcess } from "../harness/gateway_process.ts";
import { findPython, run } from "./python.ts";

const ROOT = new URL("../..", import.meta.url).pathname;
const NAME = "a Python grpcio client is held, decided by another principal, and allowed once";

const POLICY = `
tools:
  pay: { allow: true, requires_approval_if: args.amount > 100 }
approval_timeout_secs: 25
`;

interface Step {
  readonly status?: string;
  readonly details?: string;
  readonly decision?: number;
  readonly reason?: string;
  readonly rule?: string;
  readonly approval_id?: string;
  readonly success?: boolean;
  readonly error?: string;
}

Deno.test(NAME, async () => {
  await inTemporaryDirectory(async (directory) => {
    const python = await findPython(directory, ["cryptography"], NAME);
    if (python === undefined) return;
    await Deno.mkdir(`${directory}/generated`);
    const protos = [
      "agent/v1/agent",
      "approval/v1/approval",
      "common/v1/common",
      "policy/v1/policy",
    ];
    await run("protoc", [
      `-I${ROOT}proto`,
      `--python_out=${directory}/generated`,
      ...protos.map((name) => `${ROOT}proto/assembly/${name}.proto`),
    ], directory);
    await Deno.writeTextFile(`${directory}/policy.yaml`, POLICY);
    const gateway = await startGatewayProcess(
      ["--policy", "policy.yaml", "--state-dir", "state"],
      directory,
    );
    try {
      const program = [`${ROOT}tests/foreign/approval_flow.py`, gateway.address];
      const text = await run(python, [...program, `${directory}/generated`], directory);
      checkFlow(JSON.parse(text) as Record<string, Step>);
    } finally {
      await gateway.kill();
    }
  });
});

function checkFlow(steps: Record<string, Step>): void {
  const { held, allowed, resumed } = steps;
  assert.deepEqual(held, { agent: true, team: "ops", condition: "requires_approval" });
  for (const step of ["self_approval", "lineage_approval"]) {
    assert.equal(
      steps[step]?.status,
      "PERMISSION_DENIED",
      `${step}: ${JSON.stringify(steps[step])}`,
    );
  }
  assert.equal(steps["still_held"], true);
  assert.equal(steps["rejected_without_reason"]?.status, "INVALID_ARGUMENT");
  assert.equal(steps["decided"]?.success, true);
  assert.equal(allowed?.decision, 1);
  assert.equal(allowed?.rule, "requires_approval");
  assert.match(allowed?.approval_id ?? "", /^[0-9a-f-]{36}$/);
  assert.equal(steps["decided_again"]?.success, false);
  assert.match(steps["decided_again"]?.error ?? "", /already decided/i);
  assert.match(steps["unknown"]?.error ?? "", /not found/i);
  assert.equal(steps["not_a_uuid"]?.status, "INVALID_ARGUMENT");

  assert.deepEqual(steps["deferred"], { decision: 3, token: true });
  assert.equal(steps["decided_deferred"]?.success, true);
  for (const step of ["mutated", "stolen", "second_use", "after_rejection"]) {
    assert.equal(steps[step]?.decision, 2, `${step}: ${JSON.stringify(steps[step])}`);
    assert.notEqual(steps[step]?.reason, "", step);
  }
  assert.equal(resumed?.decision, 1, JSON.stringify(resumed));
  assert.equal(steps["after_rejection"]?.reason, "not this month");
}
