/**
 * What a runtime decides from the part of the policy it was handed is what its gateway decides from
 * the whole: random policies in every scope, random actions, random facts about other agents.
 */
import assert from "node:assert/strict";
import fc from "fast-check";
import { create } from "@bufbuild/protobuf";
import { hash } from "node:crypto";
import { compilePolicySet } from "../../core/policy/compile.ts";
import { decide } from "../../core/policy/decide.ts";
import { loadPolicy } from "../../core/policy/load.ts";
import { policyText, SCOPES } from "../../core/policy/policy_arbitrary.ts";
import type { Principal } from "../../core/principal.ts";
import { policyMessage, principalMessage } from "../../gateway/runtimes/snapshot.ts";
import { actionFromWire } from "../../proto/mapping.ts";
import { policy, runtime } from "../../proto/mod.ts";
import { decideLocally } from "../../runtime/decisions/local.ts";
import { readSnapshot, tokenDigest } from "../../runtime/decisions/snapshot.ts";
import type { AgentRecord } from "../../storage/sqlite/records.ts";

const NOON_MS = Date.UTC(2026, 2, 4, 12);
const TOKEN = "a token";
const NAME = { org_id: "o1", team_id: "t1", agent_id: "a1" };
const ENGINE_KEY = hash("sha256", NAME.agent_id, "hex").slice(0, 32);
const UUID = ENGINE_KEY.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
const OWN_SCOPES = SCOPES.map((scope) => scope.startsWith("agent:") ? `agent:${UUID}` : scope);

const text = (value: unknown) => new TextEncoder().encode(JSON.stringify(value));

const context = fc.oneof(
  fc.tuple(
    fc.constantFrom("bash", "ls"),
    fc.constantFrom({}, { amount: 500 }, { note: "password=hunter2" }),
  ).map(([toolName, args]) => ({
    case: "toolCall" as const,
    value: { toolName, argsJson: text(args) },
  })),
  fc.constant({ case: "llmCall" as const, value: { model: "gpt-4o", promptTokens: 100 } }),
  fc.record({
    operation: fc.constantFrom("read", "write", "delete"),
    path: fc.constantFrom("/a/x", "/a/b/c", "/b", "/c/../a", "/"),
  }).map((value) => ({ case: "fileOp" as const, value })),
  fc.record({
    host: fc.constantFrom("a.example", "x.a.example", "evil.example"),
    port: fc.constantFrom(443, 80),
    protocol: fc.constant("https"),
  }).map((value) => ({ case: "networkCall" as const, value })),
  fc.constant({ case: "processExec" as const, value: { command: "id" } }),
  fc.constant({
    case: "toolResult" as const,
    value: { toolName: "bash", resultJson: text("password=hunter2") },
  }),
).map((action) => create(policy.ActionContextSchema, { action }));

const scenario = fc.record({
  texts: fc.array(policyText(OWN_SCOPES), { minLength: 1, maxLength: 4 }),
  context,
  hours: fc.integer({ min: 0, max: 23 }),
  status: fc.constantFrom("active" as const, "active" as const, "suspended" as const),
  depth: fc.constantFrom(0, 4),
  live: fc.record({
    children_count: fc.constantFrom(0, 50),
    team_active_agents: fc.constantFrom(1, 50),
    age_s: fc.constantFrom(1, 1_000_000),
  }),
});

Deno.test("what is certain here is what the gateway decides, from the whole policy and all facts", () => {
  let certain = 0;
  fc.assert(
    fc.property(scenario, ({ texts, context, hours, status, depth, live }) => {
      const contents = texts.map((one) => new TextEncoder().encode(one));
      const documents = contents.map((content, at) => {
        const loaded = loadPolicy(`${at}.yaml`, content);
        assert.ok(loaded.ok, JSON.stringify(loaded));
        return loaded.document;
      });
      const set = compilePolicySet(documents);
      const principal: Principal = {
        assurance: "bound",
        ...NAME,
        engine_key: ENGINE_KEY,
        registry_key: "f".repeat(32),
        status,
        context: { governance_level: 0, depth, ...live },
      };
      const record = {
        ...NAME,
        key: "f".repeat(32),
        governance_level: 0,
        depth,
        token_hash: tokenDigest(TOKEN),
        enforcement: { mode: "enforce" },
      } as unknown as AgentRecord;
      const loaded = {
        mode: "directory" as const,
        texts: contents.map((content, at) => ({ name: `${at}.yaml`, content })),
        documents,
        warnings: [],
      };
      const handed = policyMessage({ current: set, loaded, digest: "sha256:x" }, principal);
      const read = readSnapshot(
        create(runtime.RuntimeSnapshotSchema, {
          gatewayId: crypto.randomUUID(),
          epoch: 1n,
          ...(handed === undefined ? {} : { policy: handed }),
          principal: principalMessage(principal, record, NOON_MS),
        }),
        { name: NAME, token_sha256: tokenDigest(TOKEN), before: undefined, newest: undefined },
      );
      assert.ok(read.ok, read.ok ? "" : read.why);
      const now_ms = NOON_MS + hours * 3_600_000;
      const query = create(policy.CheckActionRequestSchema, {
        agentId: { orgId: "o1", teamId: "t1", agentId: "a1" },
        credentialToken: TOKEN,
        context,
      });
      const ruling = decideLocally(query, read.snapshot, now_ms);
      if (ruling.kind === "forward") return;
      certain++;
      const mapped = actionFromWire(context);
      assert.ok(mapped.ok);
      const whole = decide(set, mapped.action, {
        now_ms,
        principal,
        rateTokens: () => Infinity,
        spend: {
          state: "known",
          agent_daily_micro_usd: 0,
          agent_monthly_micro_usd: 0,
          counted: () => 0,
        },
      });
      const { decision } = ruling;
      assert.equal(decision.outcome, whole.outcome);
      assert.equal(decision.stage, whole.stage);
      assert.equal(decision.reason, whole.reason);
      assert.deepEqual(decision.rule, whole.rule);
      assert.deepEqual(decision.findings, whole.findings);
      assert.deepEqual(decision.charges, whole.charges);
      assert.equal(decision.policy_doc_id, whole.policy_doc_id);
    }),
    { numRuns: 600 },
  );
  assert.ok(certain > 240, `${certain} of 600 were certain`);
});
