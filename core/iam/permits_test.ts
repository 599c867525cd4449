import assert from "node:assert/strict";
import fc from "fast-check";
import type { Scope } from "../policy/document.ts";
import { bindingProblem, contains, GATEWAY, type Grant, mayGrant, permits } from "./permits.ts";
import {
  type OperatorRole,
  parseRole,
  ranksAtLeast,
  roleOfScope,
  ROLES,
  scopeOf,
  scopeSatisfies,
} from "./role.ts";
import {
  DOCUMENT_ROLE,
  KEY_SCOPE_OF,
  KEY_SCOPES,
  PERMISSION_NAMES,
  PERMISSIONS,
  READING,
} from "./table.ts";

/** Every cell, as letters: All, Bound, Team, nothing. */
const TABLE = `
                   owner org_admin team_admin developer viewer auditor
status.read        A     A         A          A         A      A
agent.read         A     B         B          B         B      B
agent.control      A     B         T          T         -      -
agent.strengthen   A     B         T          T         -      -
agent.weaken       A     B         -          -         -      -
agent.enrol        A     B         T          -         -      -
approval.read      A     B         B          B         B      B
approval.decide    A     B         T          T         -      -
policy.read        A     B         B          B         B      B
policy.mutate      A     B         B          B         -      -
budget.read        A     B         B          B         B      B
budget.write       A     B         T          -         -      -
alert.read         A     B         B          B         B      B
alert.write        A     B         T          T         -      -
anomaly.write      A     B         T          -         -      -
topology.read      A     B         B          B         B      B
topology.write     A     B         T          T         -      -
secret.read        A     B         T          T         -      B
secret.write       A     B         T          -         -      -
secret.use         A     B         T          T         -      -
ops.read           A     B         B          B         B      B
ops.control        A     B         T          T         -      -
ops.halt_all       A     B         -          -         -      -
audit.read         A     B         B          B         B      B
audit.export       A     B         -          -         -      B
retention.write    A     B         -          -         -      -
iam.read           A     B         -          -         -      B
iam.manage         A     B         -          -         -      -
key.own            A     B         B          B         -      -
`;

const LETTER = { all: "A", bound: "B", team: "T", none: "-" } as const;

function grant(role: OperatorRole, org_id?: string, team_id?: string): Grant {
  return {
    role,
    ...(org_id === undefined ? {} : { org_id }),
    ...(team_id === undefined ? {} : { team_id }),
  };
}

function because(answer: ReturnType<typeof permits>): string {
  return answer.ok ? "yes" : answer.because;
}

Deno.test("the RBAC table is this one, cell by cell", () => {
  const [head = "", ...rows] = TABLE.trim().split("\n").map((line) => line.trim().split(/\s+/));
  assert.deepEqual(head, ROLES);
  assert.deepEqual(rows.map(([name]) => name), PERMISSION_NAMES);
  for (const name of PERMISSION_NAMES) {
    const cells = ROLES.map((role) => LETTER[PERMISSIONS[name][role]]);
    assert.deepEqual([name, ...cells], rows.find(([row]) => row === name));
  }
});

Deno.test("a document's scope needs the contract's role", () => {
  assert.deepEqual(DOCUMENT_ROLE, {
    global: "org_admin",
    org: "org_admin",
    team: "team_admin",
    agent: "developer",
    tool: "developer",
  });
});

Deno.test("P1: a developer may not create a global document, and may create an agent's", () => {
  const developer = grant("developer");
  const at = (scope: Scope) => permits(developer, "policy.mutate", { kind: "document", scope });
  assert.equal(because(at({ tier: "global" })), "role");
  assert.equal(because(at({ tier: "org", id: "o1" })), "role");
  assert.equal(because(at({ tier: "team", id: "t1" })), "role");
  assert.equal(because(at({ tier: "agent", id: "0f8fad5b-d9cb-469f-a165-70867728950e" })), "yes");
  assert.equal(because(at({ tier: "tool", id: "bash" })), "yes");
});

Deno.test("P2: an org_admin of o1 may not change a document of o2", () => {
  const admin = grant("org_admin", "o1");
  const at = (id: string) =>
    permits(admin, "policy.mutate", { kind: "document", scope: { tier: "org", id } });
  assert.equal(because(at("o1")), "yes");
  const refused = at("o2");
  assert.ok(!refused.ok && refused.because === "tenant");
  assert.match(refused.message, /tenant mismatch.*`org:o2`.*bound to organisation `o1`/);
});

Deno.test("P4: an auditor reads the audit log and can never write anything", () => {
  const audit = permits(grant("auditor"), "audit.read", GATEWAY);
  assert.equal(audit.ok, true);
  const scopes: Scope[] = [
    { tier: "global" },
    { tier: "org", id: "o1" },
    { tier: "team", id: "t1" },
    { tier: "agent", id: "0f8fad5b-d9cb-469f-a165-70867728950e" },
    { tier: "tool", id: "bash" },
  ];
  for (const auditor of [grant("auditor"), grant("auditor", "o1", "t1")]) {
    for (const name of PERMISSION_NAMES) {
      if (READING.has(name)) continue;
      assert.equal(because(permits(auditor, name)), "role", name);
      assert.equal(because(permits(auditor, name, GATEWAY)), "role", name);
      for (const scope of scopes) {
        assert.equal(because(permits(auditor, name, { kind: "document", scope })), "role", name);
      }
    }
  }
});

Deno.test("trap 46: team_admin and auditor are roles one can hold, and each does what it is for", () => {
  const admin = grant("team_admin", "o1", "t1");
  const scope: Scope = { tier: "team", id: "t1" };
  assert.equal(because(permits(admin, "policy.mutate", { kind: "document", scope })), "yes");
  const other: Scope = { tier: "team", id: "t2" };
  assert.equal(
    because(permits(admin, "policy.mutate", { kind: "document", scope: other })),
    "tenant",
  );
  assert.equal(because(permits(grant("auditor"), "audit.export", GATEWAY)), "yes");
  assert.deepEqual(["team_admin", "auditor", "admin", "root"].map(parseRole), [
    "team_admin",
    "auditor",
    "org_admin",
    undefined,
  ]);
});

Deno.test("without a team and without admin nothing is revealed of what exists", () => {
  for (const role of ["developer", "viewer", "auditor"] as const) {
    assert.equal(permits(grant(role, "o1"), "agent.control").ok, false);
  }
  assert.equal(permits(grant("developer", "o1", "t1"), "agent.control").ok, true);
});

Deno.test("a team's operator controls its team's agents; a team-less agent needs an admin", () => {
  const developer = grant("developer", "o1", "t1");
  const at = (who: Grant, org_id: string, team_id: string) =>
    because(permits(who, "agent.control", { kind: "tenant", org_id, team_id }));
  assert.equal(at(developer, "o1", "t1"), "yes");
  assert.equal(at(developer, "o1", "t2"), "tenant");
  assert.equal(at(developer, "o2", "t1"), "tenant");
  assert.equal(at(developer, "o1", ""), "tenant");
  assert.equal(at(grant("org_admin", "o1"), "o1", ""), "yes");
  assert.equal(at(grant("org_admin", "o1"), "o2", "t1"), "tenant");
  assert.equal(at(grant("org_admin"), "", ""), "yes");
  assert.equal(at(grant("owner"), "o9", "t9"), "yes");
});

Deno.test("who is bound to a tenant changes nothing that reaches beyond it", () => {
  const bound = [grant("org_admin", "o1"), grant("team_admin", "o1", "t1")];
  for (const who of bound) {
    assert.equal(permits(who, "ops.halt_all", GATEWAY).ok, false);
    assert.equal(permits(who, "audit.read", GATEWAY).ok, false);
    for (const scope of [{ tier: "global" }, { tier: "tool", id: "bash" }] as const) {
      assert.equal(permits(who, "policy.mutate", { kind: "document", scope }).ok, false);
    }
  }
  const scope = { tier: "agent", id: "0f8fad5b-d9cb-469f-a165-70867728950e" } as const;
  const developer = grant("developer", "o1", "t1");
  const at = (agent?: { org_id: string; team_id: string }) =>
    permits(developer, "policy.mutate", {
      kind: "document",
      scope,
      ...(agent === undefined ? {} : { agent }),
    }).ok;
  assert.equal(at({ org_id: "o1", team_id: "t1" }), true);
  assert.equal(at({ org_id: "o2", team_id: "t1" }), false);
  assert.equal(at(), false, "an agent nobody knows lies in nobody's team");
});

Deno.test("a key is narrowed by its scopes and never widened by them", () => {
  const key: Grant = { role: "viewer", key_scopes: ["admin"] };
  assert.equal(because(permits(key, "policy.mutate")), "role");
  const narrow: Grant = { role: "owner", key_scopes: ["write:policies"] };
  assert.equal(because(permits(narrow, "policy.read")), "yes");
  assert.equal(because(permits(narrow, "policy.mutate")), "yes");
  assert.equal(because(permits(narrow, "iam.manage")), "key_scope");
  assert.equal(because(permits(narrow, "audit.read")), "key_scope");
  assert.equal(because(permits({ role: "owner", key_scopes: [] }, "status.read")), "key_scope");
  assert.deepEqual(Object.keys(KEY_SCOPE_OF), PERMISSION_NAMES);
});

const anyGrant = fc.record({
  role: fc.constantFrom(...ROLES),
  org_id: fc.option(fc.constantFrom("", "o1", "o2"), { nil: undefined }),
  team_id: fc.option(fc.constantFrom("t1", "t2"), { nil: undefined }),
  key_scopes: fc.option(fc.subarray([...KEY_SCOPES]), { nil: undefined }),
}).map(({ role, org_id, team_id, key_scopes }): Grant => ({
  ...grant(role, org_id, team_id),
  ...(key_scopes === undefined ? {} : { key_scopes }),
})).filter((some) => bindingProblem(some) === undefined);
const anyTenant = fc.record({
  org_id: fc.constantFrom("", "o1", "o2"),
  team_id: fc.constantFrom("", "t1", "t2"),
});

Deno.test("nobody hands out more than they have: what a granted role may do, the grantor may too", () => {
  fc.assert(
    fc.property(
      anyGrant,
      anyGrant,
      fc.constantFrom(...PERMISSION_NAMES),
      anyTenant,
      (grantor, other, name, tenant) => {
        if (!permits(grantor, "iam.manage").ok || !mayGrant(grantor, other)) return;
        const target = { kind: "tenant", ...tenant } as const;
        if (permits(other, name, target).ok) assert.equal(permits(grantor, name, target).ok, true);
        if (permits(other, name, GATEWAY).ok) {
          assert.equal(permits(grantor, name, GATEWAY).ok, true);
        }
      },
    ),
    { numRuns: 3_000 },
  );
});

Deno.test("a bound operator's yes always lies within what it is bound to", () => {
  fc.assert(
    fc.property(anyGrant, fc.constantFrom(...PERMISSION_NAMES), anyTenant, (who, name, tenant) => {
      if (name === "status.read") return;
      const answer = permits(who, name, { kind: "tenant", ...tenant });
      if (answer.ok) assert.equal(contains(who, tenant), true);
    }),
    { numRuns: 3_000 },
  );
});

Deno.test("scopes and roles answer to each other as the contract says", () => {
  assert.deepEqual((["read", "write", "admin"] as const).map(roleOfScope), [
    "viewer",
    "developer",
    "org_admin",
  ]);
  assert.deepEqual(ROLES.map(scopeOf), ["admin", "admin", "write", "write", "read", "read"]);
  assert.equal(scopeSatisfies("admin", "read"), true);
  assert.equal(scopeSatisfies("write", "write"), true);
  assert.equal(scopeSatisfies("read", "write"), false);
  assert.equal(scopeSatisfies("write", "admin"), false);
  assert.equal(ranksAtLeast("owner", "org_admin"), true);
  assert.equal(ranksAtLeast("auditor", "viewer"), false);
});

Deno.test("an owner is bound to nothing, an org_admin to no team, a team_admin to one", () => {
  assert.match(bindingProblem(grant("owner", "o1")) ?? "", /^org_id: /);
  assert.match(bindingProblem(grant("org_admin", "o1", "t1")) ?? "", /^team_id: /);
  assert.match(bindingProblem(grant("team_admin", "o1")) ?? "", /^team_id: is missing/);
  for (
    const fine of [grant("owner"), grant("org_admin"), grant("org_admin", "o1"), grant("developer")]
  ) assert.equal(bindingProblem(fine), undefined);
});
