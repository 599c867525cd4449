/** `aasm audit compliance-export` of a real gateway's log, and what a stranger makes of it. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readCheckpoint } from "../../core/audit/verify/note.ts";
import { runCli } from "../../cli/testing/run_cli.ts";
import { createClient } from "../../grpc/mod.ts";
import { PolicyService } from "../../proto/gen/assembly/policy/v1/policy_pb.ts";
import { registerAgent } from "../harness/agent.ts";
import { type EmbeddedGateway, embeddedGateway } from "../harness/embedded_gateway.ts";

/** A gateway whose checkpoint covers a few decisions and changes. */
async function busyGateway(): Promise<EmbeddedGateway> {
  const on = await embeddedGateway([], "tools:\n  bash:\n    allow: false\n");
  const agent = await registerAgent(on.channel, { org: "acme", team: "ops" });
  const policy = createClient(PolicyService, on.channel);
  for (const toolName of ["search", "bash"]) {
    await policy.checkAction({
      agentId: { orgId: "acme", teamId: "ops", agentId: agent.did },
      credentialToken: agent.token,
      traceId: "trace-1",
      actionType: 2,
      context: { action: { case: "toolCall", value: { toolName } } },
    });
  }
  const deadline_ms = Date.now() + 20_000;
  while (
    BigInt(on.gateway.audit.status().checkpoint?.size ?? 0) < on.gateway.audit.status().entries
  ) {
    assert.ok(Date.now() < deadline_ms, "no checkpoint came");
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  return on;
}

function words(on: EmbeddedGateway, ...more: string[]): string[] {
  const known = ["--known-keys", `${on.directory}/known`];
  return [...on.cli_flags, "audit", "compliance-export", "--framework", "soc2", ...known, ...more];
}

Deno.test("an export proves itself: signature, root and body hash, from the file alone", async () => {
  await using on = await busyGateway();
  const file = `${on.directory}/export.jsonl`;
  const { code, err } = await runCli(words(on, "-o", file));
  assert.equal(code, 0, err);
  const lines = (await Deno.readTextFile(file)).trimEnd().split("\n");
  const { manifest } = JSON.parse(lines.pop() ?? "");
  const body = lines.map((line) => `${line}\n`).join("");
  assert.equal(manifest.body_sha256, createHash("sha256").update(body).digest("hex"));
  assert.equal(manifest.exported, lines.length);
  const reading = readCheckpoint(manifest.log.checkpoint, manifest.log.verifier_key);
  assert.ok(reading.kind === "head" && reading.signature === "valid");
  assert.deepEqual([reading.head.size, reading.head.root], [lines.length, manifest.log.root_hex]);
  const denied = lines.map((line) => JSON.parse(line)).find(({ decision }) => decision === "deny");
  assert.equal(denied?.reason, "tool denied by policy");
  assert.ok(denied?.controls.includes("CC6.1"));
  // One entry, proven by the log itself at the index that the export cites.
  const proof = await runCli([
    ...on.cli_flags,
    ...["audit", "prove", denied?.audit_index, "--key", manifest.log.verifier_key],
  ]);
  assert.equal(proof.code, 0, proof.err);
});

Deno.test("every format of both frameworks is written, from the gateway and from its directory alike", async () => {
  await using on = await busyGateway();
  const key = on.gateway.audit.status().verifier_key;
  for (const format of ["csv", "json", "jsonl", "ocsf", "cef"]) {
    const asked = await runCli(words(on, "--format", format));
    assert.equal(asked.code, 0, asked.err);
    const local = await runCli([
      ...["audit", "compliance-export", "--framework", "soc2", "--format", format],
      ...["--input", `${on.directory}/state/audit`, "--key", key],
    ]);
    assert.equal(local.code, 0, local.err);
    assert.equal(local.out, asked.out);
  }
});

Deno.test("a log that was changed on disk is not exported as evidence", async () => {
  await using on = await busyGateway();
  const copy = await Deno.makeTempDir();
  try {
    const audit = `${on.directory}/state/audit`;
    await Deno.mkdir(`${copy}/log`);
    await Deno.copyFile(`${audit}/log/checkpoint`, `${copy}/log/checkpoint`);
    const log = await Deno.readTextFile(`${audit}/gateway-default.jsonl`);
    await Deno.writeTextFile(`${copy}/gateway-default.jsonl`, log.replace("bash", "bask"));
    const key = on.gateway.audit.status().verifier_key;
    const flags = ["audit", "compliance-export", "--framework", "eu-ai-act", "--input", copy];
    const changed = await runCli([...flags, "--key", key]);
    assert.equal(changed.code, 6);
    assert.match(changed.err, /no manifest/);
    assert.doesNotMatch(changed.out, /"manifest"/);
    const keyless = await runCli([...flags, "--known-keys", `${copy}/known`]);
    assert.equal(keyless.code, 6);
    const backwards = await runCli([...flags, "--from", "2026-02-01", "--to", "2026-01-01"]);
    assert.equal(backwards.code, 2);
  } finally {
    await Deno.remove(copy, { recursive: true });
  }
});
