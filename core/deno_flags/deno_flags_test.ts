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
import { type DenoPermissionSet, toDenoJson, toFlags } from "./permission_set.ts";
import { PROXY_HOST, PROXY_VARIABLES } from "./proxy_variables.ts";
import { type DenoAccess, denoAllows } from "./semantics.ts";

const TOOLS = ["deno.env", "deno.sys", "deno.ffi", "deno.import", "*", "bash"] as const;

/** Mostly absent: each such section closes whole kinds. */
function rare<T>(section: fc.Arbitrary<T>): fc.Arbitrary<T | null> {
  return fc.oneof({ weight: 9, arbitrary: fc.constant(null) }, { weight: 1, arbitrary: section });
}

/** As often there as not. */
function often<T>(section: fc.Arbitrary<T>): fc.Arbitrary<T | null> {
  return fc.option(section, { freq: 2 });
}

/** Policies that speak of what Deno asks for. */
const POLICY = fc.record({
  scope: fc.constantFrom("global", "global", "global", "team:t1", "org:o1", "tool:deno.env"),
  network: often(fc.record({
    allowlist: fc.subarray([
      "a.example",
      "*.a.example",
      "*.b.a.example",
      "b.a.example",
      "B.EXAMPLE.",
      "*.example",
      "c.example:443",
      "https://d.example",
      "127.0.0.1",
      "::1",
      "[fe80::1]",
      "bücher.example",
      "under_score.example",
      "-odd-.example",
      "localhost",
      "*",
    ]),
  })),
  filesystem: often(fc.record({
    read: fc.record({ allow: fc.subarray(["/", "/a", "/a/b", "/b", "/c,d", "/a//b/./c", "/e f"]) }),
    write: fc.record({ allow: fc.subarray(["/", "/a", "/b/c"]) }),
  }, { requiredKeys: [] })),
  capabilities: rare(fc.record({
    allow: fc.subarray([
      "file_read",
      "file_write",
      "file_delete",
      "network_outbound",
      "terminal_exec",
      "mcp_tool:deno.env",
      "mcp_tool:deno.import",
      "mcp_tool:deno.ffi",
    ]),
    deny: fc.subarray(["file_read", "file_delete", "terminal_exec", "mcp_tool:deno.env"], {
      maxLength: 1,
    }),
  }, { requiredKeys: [] })),
  tools: often(fc.dictionary(
    fc.constantFrom(...TOOLS),
    fc.record({
      allow: fc.constantFrom(true, true, false),
      limit_per_hour: fc.constantFrom(0, 60),
      requires_approval_if: fc.constantFrom('args.name == "HOME"', "agent.depth > 3"),
    }, { requiredKeys: ["allow"] }),
    { maxKeys: 3 },
  )),
  rate_limits: rare(
    fc.constantFrom(
      [{ per: "agent", action: "file_access", limit: 5, window: "1m" }],
      [{ per: "agent", tool: "deno.*", limit: 5, window: "1m" }],
    ),
  ),
  schedule: rare(
    fc.constant({ active_hours: { start: "09:00", end: "17:00", timezone: "UTC" } }),
  ),
  budget: rare(fc.constant({ daily_limit_usd: 1 })),
  data: rare(
    fc.record({
      credential_action: fc.constantFrom("block", "redact_only", "alert_only"),
      sensitive_patterns: fc.constant(["^/a"]),
    }),
  ),
}).map((policy) =>
  Object.entries(policy).flatMap(([key, value]) =>
    value === null || value === undefined
      ? []
      : [`${key}: ${typeof value === "string" ? value : JSON.stringify(value)}`]
  ).join("\n")
);

const POLICIES = fc.array(POLICY, { minLength: 0, maxLength: 3 }).map((texts) =>
  directory(...texts)
);

const PATHS = ["/", "/a", "/a/b", "/a/b/c/x", "/ab", "/b", "/b/c/y", "/c,d/z", "/e f/g", "/etc/x"];
const HOSTS = [
  "a.example",
  "x.a.example",
  "b.a.example",
  "y.b.a.example",
  "b.example",
  "c.example",
  "example",
  "xn--bcher-kva.example",
  "under_score.example",
  "127.0.0.1",
  "::1",
  "fe80::1",
  "localhost",
  "jsr.io",
];

const EVERY_ACCESS: readonly DenoAccess[] = [
  ...(["read", "write", "ffi"] as const).flatMap((kind) => PATHS.map((path) => ({ kind, path }))),
  ...(["net", "import"] as const).flatMap((kind) =>
    HOSTS.flatMap((host) => [443, 80].map((port) => ({ kind, host, port })))
  ),
  ...(["run", "env", "sys"] as const).map((kind) => ({ kind, name: "ls" })),
  { kind: "env", name: "HTTP_PROXY" },
];

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

/** Asks Deno itself, under the flags, about many accesses in one process. */
const ASK = `
  const asked = JSON.parse(Deno.args[0]);
  const states = [];
  for (const one of asked) states.push((await Deno.permissions.query(one)).state === "granted");
  console.log(JSON.stringify(states));
`;

function descriptorOf(access: DenoAccess): Record<string, string> {
  switch (access.kind) {
    case "read":
    case "write":
    case "ffi":
      return { name: access.kind, path: access.path };
    case "net":
    case "import": {
      const host = access.host.includes(":") ? `[${access.host}]` : access.host;
      return { name: access.kind, host: `${host}:${access.port}` };
    }
    case "run":
      return { name: "run", command: access.name };
    case "env":
      return { name: "env", variable: access.name };
    case "sys":
      return { name: "sys", kind: "uid" };
  }
}

async function denoSays(flags: readonly string[], cwd: string): Promise<boolean[]> {
  const asked = JSON.stringify(EVERY_ACCESS.map(descriptorOf));
  const { stdout, stderr, code } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--no-lock", ...flags, "ask.ts", asked],
    cwd,
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
    clearEnv: true,
    env: { DENO_NO_UPDATE_CHECK: "1" },
  }).output();
  assert.equal(code, 0, new TextDecoder().decode(stderr));
  return JSON.parse(new TextDecoder().decode(stdout));
}

function modelSays(permissions: DenoPermissionSet): boolean[] {
  return EVERY_ACCESS.map((access) => denoAllows(permissions, access));
}

Deno.test("Deno itself answers under the flags, and under the deno.json, as the model says", async () => {
  const cwd = await Deno.makeTempDir();
  try {
    await Deno.writeTextFile(`${cwd}/ask.ts`, ASK);
    const sample = fc.sample(POLICIES, { numRuns: 12, seed: 5 });
    for (const policy of sample) {
      const { permissions } = denoFlags(policy, agent(), { moving: "met" });
      const label = (says: boolean[]) =>
        EVERY_ACCESS.filter((_, at) => says[at]).map((access) => JSON.stringify(access));
      const expected = label(modelSays(permissions));
      assert.deepEqual(label(await denoSays(toFlags(permissions), cwd)), expected);
      await Deno.writeTextFile(`${cwd}/deno.json`, JSON.stringify(toDenoJson(permissions)));
      assert.deepEqual(label(await denoSays(["-P", "--no-prompt"], cwd)), expected);
      await Deno.remove(`${cwd}/deno.json`);
    }
  } finally {
    await Deno.remove(cwd, { recursive: true });
  }
});
