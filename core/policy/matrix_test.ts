import assert from "node:assert/strict";
import { type CapabilityMatrix, capabilityMatrix, isOverPermissioned } from "./matrix.ts";
import { agent, directory } from "./policy_fixture.ts";

function cellOf(matrix: CapabilityMatrix, resource: string, verb: string): string | undefined {
  assert.equal(matrix.state, "configured");
  return matrix.cells.find((cell) => cell.resource === resource && cell.verb === verb)?.cell;
}

Deno.test("a blank policy allows each verb that exists and marks the others", () => {
  const matrix = capabilityMatrix(directory("{}"), agent());
  assert.equal(cellOf(matrix, "filesystem", "write"), "allow");
  assert.equal(cellOf(matrix, "filesystem", "exec"), "na");
  assert.equal(cellOf(matrix, "terminal", "exec"), "allow");
  assert.equal(cellOf(matrix, "network_outbound", "read"), "na");
});

Deno.test("each kind of rule shows in its cell", () => {
  const matrix = capabilityMatrix(
    directory(
      `
capabilities: { deny: [terminal_exec, file_write] }
network: { allowlist: [api.example] }
filesystem: { read: { allow: [/workspace] } }
tools:
  pay: { allow: true, requires_approval_if: "args.amount > 100" }
  rm: { allow: false }
  search: { allow: true, limit_per_hour: 5 }
  never: { allow: true, limit_per_hour: 0 }
  free: { allow: true }
`,
      "scope: tool:free\ntools: { free: { allow: false } }",
    ),
    agent(),
  );
  const expected = {
    "filesystem read": "narrow",
    "filesystem write": "deny",
    "filesystem delete": "deny",
    "terminal exec": "deny",
    "network_outbound exec": "narrow",
    "tool:pay exec": "approval",
    "tool:rm exec": "deny",
    "tool:search exec": "narrow",
    "tool:never exec": "deny",
    "tool:free exec": "deny",
  };
  for (const [key, cell] of Object.entries(expected)) {
    const [resource = "", verb = ""] = key.split(" ");
    assert.equal(cellOf(matrix, resource, verb), cell, key);
  }
});

Deno.test("an allow list narrows what it holds and denies the rest", () => {
  const matrix = capabilityMatrix(directory("capabilities: { allow: [file_read] }"), agent());
  assert.equal(cellOf(matrix, "filesystem", "read"), "narrow");
  assert.equal(cellOf(matrix, "filesystem", "write"), "deny");
  assert.equal(cellOf(matrix, "network_outbound", "exec"), "deny");
});

Deno.test("empty lists show as denied", () => {
  const matrix = capabilityMatrix(directory("network: {}\nfilesystem: { write: {} }"), agent());
  assert.equal(cellOf(matrix, "network_outbound", "exec"), "deny");
  assert.equal(cellOf(matrix, "filesystem", "write"), "deny");
  assert.equal(cellOf(matrix, "filesystem", "delete"), "deny");
});

Deno.test("plain high-privilege allows are flagged against the tier's baseline", () => {
  const open = capabilityMatrix(directory("{}"), agent());
  assert.deepEqual(
    (["low", "medium", "high", "critical"] as const).map((tier) => isOverPermissioned(open, tier)),
    [true, true, false, false],
  );
  const kept = capabilityMatrix(
    directory("capabilities: { deny: [file_delete, terminal_exec] }"),
    agent(),
  );
  assert.equal(isOverPermissioned(kept, "medium"), false);
  assert.equal(isOverPermissioned(kept, "low"), true);
});

Deno.test("without a tier or a policy there is no flag, neither way", () => {
  assert.equal(
    isOverPermissioned(capabilityMatrix(directory("{}"), agent()), undefined),
    undefined,
  );
  assert.equal(isOverPermissioned({ state: "unconfigured" }, "low"), undefined);
});
