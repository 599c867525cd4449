/**
 * Random policies and every access that is asked of them, for the law that emitted flags allow
 * nothing that the policy denies.
 *
 * @module
 */
import fc from "fast-check";
import { directory } from "../policy/policy_fixture.ts";
import type { PolicySet } from "../policy/compile.ts";
import type { DenoAccess } from "./semantics.ts";

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

/** Sets of up to three documents; also none. */
export const POLICIES: fc.Arbitrary<PolicySet> = fc.array(POLICY, { minLength: 0, maxLength: 3 })
  .map((texts) => directory(...texts));

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
  // One of those that Deno lets imports come from when no flag speaks of them.
  "deno.land",
];

/** What is asked. */
export const EVERY_ACCESS: readonly DenoAccess[] = [
  ...(["read", "write", "ffi"] as const).flatMap((kind) => PATHS.map((path) => ({ kind, path }))),
  ...(["net", "import"] as const).flatMap((kind) =>
    HOSTS.flatMap((host) => [443, 80].map((port) => ({ kind, host, port })))
  ),
  ...(["run", "env", "sys"] as const).map((kind) => ({ kind, name: "ls" })),
  { kind: "env", name: "HTTP_PROXY" },
];
