/**
 * The law of the compiler: what the emitted flags allow, the policy allows.
 *
 * @module
 */
import assert from "node:assert/strict";
import fc from "fast-check";
import type { Action } from "../action.ts";
import { factsOf } from "../policy/policy_arbitrary.ts";
import { agent, directory, facts } from "../policy/policy_fixture.ts";
import { decide, type Facts } from "../policy/decide.ts";
import type { PolicySet } from "../policy/compile.ts";
import { denoFlags } from "./compile.ts";
import { toFlags } from "./permission_set.ts";
import { EVERY_ACCESS, POLICIES } from "./deno_flags_fixture.ts";
import { PROXY_HOST, PROXY_VARIABLES } from "./proxy_variables.ts";
import { type DenoAccess, denoAllows } from "./semantics.ts";

/** The questions that the permission broker asks for the same access. */
function actionsOf(access: DenoAccess): Action[] {
  const file = (mode: "read" | "write" | "delete", path: string): Action => ({
    kind: "file_access",
    mode,
    path,
  });
  const call = (tool: string, args: unknown): Action => ({
    kind: "tool_call",
    tool,
    args: JSON.stringify(args),
  });
  const connect = (scheme: string, host: string, port: number): Action => ({
    kind: "network_request",
    url: `${scheme}://${host.includes(":") ? `[${host}]` : host}:${port}`,
    method: "CONNECT",
  });
  switch (access.kind) {
    case "read":
      return [file("read", access.path)];
    case "write":
      return [file("write", access.path), file("delete", access.path)];
    case "ffi":
      return [call("deno.ffi", { path: access.path }), file("read", access.path)];
    case "net":
      return [connect("tcp", access.host, access.port)];
    case "import":
      return [
        connect("https", access.host, access.port),
        call("deno.import", { host: `${access.host}:${access.port}` }),
      ];
    case "run":
      return [{ kind: "process_exec", command: access.name }];
    case "env":
      return [
        call("deno.env", { name: access.name }),
        ...PROXY_VARIABLES.includes(access.name) ? [connect("tcp", PROXY_HOST, 0)] : [],
      ];
    case "sys":
      return [call("deno.sys", { kind: access.name })];
  }
}

/** Stages that change with time, use or text: what `met` takes for met. */
const MOVING: ReadonlySet<unknown> = new Set(["schedule", "rate_limit", "budget", "scan"]);

function refusals(policy: PolicySet, access: DenoAccess, given: Facts) {
  return actionsOf(access)
    .map((action) => decide(policy, action, given))
    .filter((decision) => decision.outcome !== "allow");
}

Deno.test("what the emitted flags allow, the policy allows, at any time and after any use", () => {
  let allowed = 0;
  fc.assert(
    fc.property(POLICIES, factsOf(), (policy, given) => {
      const { permissions } = denoFlags(policy, given.principal);
      for (const access of EVERY_ACCESS) {
        if (!denoAllows(permissions, access)) continue;
        allowed += 1;
        const refused = refusals(policy, access, given);
        assert.deepEqual(refused, [], JSON.stringify(access));
      }
    }),
    { numRuns: 400 },
  );
  assert.ok(allowed > 1_000, `the flags allowed ${allowed} times: the law was hardly tested`);
});

Deno.test("taking hours, limits, budgets and the secret scan for met widens by nothing else", () => {
  fc.assert(
    fc.property(POLICIES, (policy) => {
      const { permissions } = denoFlags(policy, agent(), { moving: "met" });
      for (const access of EVERY_ACCESS) {
        if (!denoAllows(permissions, access)) continue;
        const stages = refusals(policy, access, facts()).map((decision) => decision.stage);
        assert.deepEqual(stages.filter((stage) => !MOVING.has(stage)), [], JSON.stringify(access));
      }
    }),
    { numRuns: 200 },
  );
});

Deno.test("where flags can say it, nothing is lost: allowed paths and hosts are in the flags", () => {
  const policy = directory(
    'network: {allowlist: [a.example, "*.b.example"]}\nfilesystem: {read: {allow: [/a]}, write: {allow: [/a/b]}}',
  );
  assert.deepEqual(toFlags(denoFlags(policy, agent()).permissions), [
    "--no-prompt",
    "--allow-read=/a",
    "--allow-write=/a/b",
    "--allow-net=*.b.example,a.example",
    "--deny-net=b.example",
    "--allow-import=*.b.example,a.example",
    "--deny-import=b.example",
    "--allow-run",
    "--allow-env",
    `--deny-env=${PROXY_VARIABLES.join(",")}`,
    "--allow-sys",
    "--allow-ffi=/a",
  ]);
});

Deno.test("what flags cannot say is left out and named", () => {
  const notesOf = (text: string) => denoFlags(directory(text), agent()).notes.join("\n");
  assert.match(notesOf("filesystem: {read: {allow: ['/a,b']}}"), /`\/a,b` is left out/);
  assert.match(
    notesOf("schedule: {active_hours: {start: '09:00', end: '17:00', timezone: UTC}}"),
    /opening hours/,
  );
  assert.match(
    notesOf("tools: {deno.env: {allow: true, requires_approval_if: 'args.x > 1'}}"),
    /approval/,
  );
  assert.match(notesOf("capabilities: {allow: [file_write]}"), /does not list `file_delete`/);
  assert.match(notesOf("{}"), /a program the agent starts is bound by none of these flags/);
});

Deno.test("without a policy, or for an agent that may not act, everything is denied", () => {
  const open = directory("{}");
  for (
    const { permissions } of [
      denoFlags(directory(), agent()),
      denoFlags(open, agent({ status: "suspended" })),
    ]
  ) {
    assert.deepEqual(toFlags(permissions), [
      "--no-prompt",
      "--deny-read",
      "--deny-write",
      "--deny-net",
      "--allow-import=none.invalid",
      "--deny-run",
      "--deny-env",
      "--deny-sys",
      "--deny-ffi",
    ]);
  }
});
