import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import type { EntryDraft } from "../../core/audit/entry.ts";
import { formatVerifierKey, rawPublicKey, signNote } from "../../core/audit/checkpoint.ts";
import type { OperatorRole } from "../../core/iam/role.ts";
import { signBundle } from "../../core/policy/history/bundle.ts";
import { Channel, Code, createClient, GrpcError, GrpcServer, Metadata } from "../../grpc/mod.ts";
import { PolicyAdminService } from "../../proto/gen/assembly/admin/v1/policy_admin_pb.ts";
import { MemoryStore } from "../../storage/memory/store.ts";
import type { AgentRecord } from "../../storage/sqlite/records.ts";
import { Counters } from "../counters.ts";
import { hash16Hex } from "../identity/keys.ts";
import { Operators } from "../identity/operators.ts";
import { ApiKeys } from "../iam/api_keys.ts";
import { openPolicy } from "../policy/open.ts";
import { openPolicyAdmin, type PolicyAdminHouse } from "../rooms/policy_admin.ts";

const GLOBAL = "tools: { bash: { allow: false } }\n";
const OPEN = "tools: { bash: { allow: true } }\n";
const NOW = 1_750_000_000_000;

function key(name: string) {
  const { privateKey: private_key } = generateKeyPairSync("ed25519");
  return {
    sign: (text: string) => signNote(text, { name, private_key }),
    text: formatVerifierKey({ name, public_key: rawPublicKey(private_key) }),
  };
}

type Operator = {
  readonly role: OperatorRole;
  readonly org_id?: string;
  readonly team_id?: string;
};

interface Fixture {
  readonly client: ReturnType<typeof createClient<typeof PolicyAdminService>>;
  readonly directory: string;
  readonly clock: { now: number };
  readonly operators: Operators;
  readonly keys: ApiKeys;
  readonly store: MemoryStore;
  /** A new operator's credentials. */
  as(name: string, operator: Operator): Promise<{ metadata: Metadata }>;
  with(token: string): { metadata: Metadata };
  digest(): string;
  payloads(): Record<string, unknown>[];
}

async function withPolicy(
  work: (fixture: Fixture) => Promise<void>,
  config: { readonly four_eyes_policy?: boolean; readonly signers?: readonly string[] } = {},
  agents: readonly { org_id: string; team_id: string; agent_id: string }[] = [],
): Promise<void> {
  const directory = await Deno.makeTempDir({ prefix: "policy-admin-" });
  await Deno.writeTextFile(`${directory}/a.yaml`, GLOBAL);
  const state = { now: NOW };
  const clock = {
    now_ms: () => state.now,
    now_ns: () => BigInt(state.now) * 1_000_000n,
    monotonic_us: () => 0,
  };
  const store = new MemoryStore();
  const operators = await Operators.open(store, clock.now_ms);
  const keys = await ApiKeys.open(store, operators, clock.now_ms);
  operators.useKeys(keys);
  const log = key("example.com/log");
  const entries: EntryDraft[] = [];
  const audit = {
    append: (draft: EntryDraft) => {
      entries.push(draft);
      return Promise.resolve({ seq: BigInt(entries.length) });
    },
    signNote: log.sign,
    status: () => ({ verifier_key: log.text }),
  } as unknown as PolicyAdminHouse["audit"];
  const signers_file = `${directory}/signers.txt`;
  await Deno.writeTextFile(signers_file, (config.signers ?? []).join("\n"));
  const settings = {
    policy: { kind: "path", path: directory, defaulted: false, writable: true },
    ...(config.four_eyes_policy === true ? { four_eyes_policy: true } : {}),
    policy_signers: signers_file,
  } as const;
  const { policy, history } = await openPolicy({ config: settings, store, audit, clock });
  const room = await openPolicyAdmin({
    config: settings,
    store,
    audit,
    clock,
    operators,
    policy,
    policy_history: history,
    counters: new Counters(),
    // Of the registry only the list of agents is asked for.
    registry: {
      list: () => ({ agents: agents as unknown as AgentRecord[] }),
    } as unknown as PolicyAdminHouse["registry"],
  });
  const server = new GrpcServer();
  room.serve(server);
  const listener = await server.listen({ transport: "tcp", hostname: "127.0.0.1", port: 0 });
  const channel = new Channel(`127.0.0.1:${listener.port}`);
  const withToken = (token: string) => ({
    metadata: new Metadata().set("authorization", `Bearer ${token}`),
  });
  try {
    await work({
      client: createClient(PolicyAdminService, channel),
      directory,
      clock: state,
      operators,
      keys,
      store,
      as: async (name, operator) =>
        withToken(await operators.create({ name, ...operator, created_by: "gateway" })),
      with: withToken,
      digest: () => policy.digest,
      payloads: () => entries.map(({ payload }) => JSON.parse(payload)),
    });
  } finally {
    await channel.close();
    await server.shutdown({ grace_ms: 100 });
    await policy.close();
    await Deno.remove(directory, { recursive: true });
  }
}

function file(name: string, text: string, scope = "") {
  return { name, content: new TextEncoder().encode(text), scope };
}

async function refusal(call: Promise<unknown>): Promise<GrpcError> {
  const error = await call.then(() => undefined, (reason) => reason);
  assert.ok(error instanceof GrpcError, String(error));
  return error;
}

Deno.test("P1: a developer's global document is refused, an agent's is applied", async () => {
  await withPolicy(async ({ client, as, payloads }) => {
    const developer = await as("dev", { role: "developer" });
    const error = await refusal(client.apply({ files: [file("a.yaml", OPEN)] }, developer));
    assert.equal(error.code, Code.PERMISSION_DENIED);
    assert.match(error.message, /needs the role org_admin, not `developer`/);
    assert.deepEqual(
      payloads().filter(({ action }) => action === "policy_change_refused")
        .map(({ actor, attempt }) => [actor, attempt]),
      [["operator:dev", "apply"]],
    );
    const scope = "agent:0f8fad5b-d9cb-469f-a165-70867728950e";
    const agents = file("b.yaml", `scope: ${scope}\n${GLOBAL}`, scope);
    assert.equal((await client.apply({ files: [agents] }, developer)).outcome, "applied");
    // Removing and renaming a document, or moving it to another scope, is changing it.
    assert.equal(
      (await refusal(client.apply({ remove: ["a.yaml"] }, developer))).code,
      Code.PERMISSION_DENIED,
    );
    assert.equal(
      (await refusal(client.apply({ files: [file("b.yaml", OPEN)] }, developer))).code,
      Code.PERMISSION_DENIED,
    );
  });
});

Deno.test("P2: an org_admin of o1 changes o1's document, and neither o2's nor the one for everybody", async () => {
  await withPolicy(async ({ client, as }) => {
    const admin = await as("admin", { role: "org_admin", org_id: "o1" });
    const own = file("o1.yaml", `scope: org:o1\n${GLOBAL}`);
    assert.equal((await client.apply({ files: [own] }, admin)).outcome, "applied");
    for (const other of [file("o2.yaml", `scope: org:o2\n${GLOBAL}`), file("a.yaml", OPEN)]) {
      const error = await refusal(client.apply({ files: [other] }, admin));
      assert.equal(error.code, Code.PERMISSION_DENIED);
      assert.match(error.message, /tenant mismatch/);
    }
  });
});

Deno.test("P3: a stated scope that is not the document's own is refused, and nothing changes", async () => {
  await withPolicy(async ({ client, as, digest }) => {
    const owner = await as("local", { role: "owner" });
    const before = digest();
    const error = await refusal(
      client.apply({ files: [file("t.yaml", GLOBAL, "tool:x")] }, owner),
    );
    assert.equal(error.code, Code.INVALID_ARGUMENT);
    assert.match(error.message, /scope mismatch: `t.yaml` is stated to be `tool:x`.*`global`/);
    assert.equal(digest(), before);
  });
});

Deno.test("P4: an auditor reads every version and changes none", async () => {
  await withPolicy(async ({ client, as }) => {
    const auditor = await as("aud", { role: "auditor" });
    assert.equal((await client.listVersions({}, auditor)).versions.length, 1);
    const writes = [
      client.apply({ files: [file("a.yaml", OPEN)] }, auditor),
      client.rollback({ version: "1" }, auditor),
      client.importBundle({ bundle: "{}" }, auditor),
      client.confirmProposal({ id: "prop_0" }, auditor),
      client.rejectProposal({ id: "prop_0" }, auditor),
    ];
    for (const call of writes) assert.equal((await refusal(call)).code, Code.PERMISSION_DENIED);
  });
});

Deno.test("a bound developer changes its own agents' documents, and no other's of the same id", async () => {
  const agents = [
    { org_id: "o1", team_id: "t1", agent_id: "mine" },
    { org_id: "o1", team_id: "t1", agent_id: "shared" },
    { org_id: "o2", team_id: "t9", agent_id: "shared" },
  ];
  await withPolicy(
    async ({ client, as }) => {
      const developer = await as("dev", { role: "developer", org_id: "o1", team_id: "t1" });
      const of = (id: string) => file(`${id}.yaml`, `scope: agent:${hash16Hex(id)}\n${GLOBAL}`);
      assert.equal((await client.apply({ files: [of("mine")] }, developer)).outcome, "applied");
      for (const id of ["shared", "nobody"]) {
        const error = await refusal(client.apply({ files: [of(id)] }, developer));
        assert.equal(error.code, Code.PERMISSION_DENIED, id);
      }
      const seen = await client.getVersion({}, developer);
      assert.deepEqual(seen.files.map(({ name }) => name), ["a.yaml", "mine.yaml"]);
    },
    {},
    agents,
  );
});

Deno.test("apply, diff and rollback: what changed is told rule by rule, and a rollback is a new version", async () => {
  await withPolicy(async ({ client, as, directory, payloads, digest }) => {
    const owner = await as("local", { role: "owner" });
    const dry = await client.apply({ files: [file("a.yaml", OPEN)], dryRun: true }, owner);
    assert.equal(dry.outcome, "dry_run");
    assert.equal(await Deno.readTextFile(`${directory}/a.yaml`), GLOBAL);
    const applied = await client.apply(
      { files: [file("a.yaml", OPEN)], reason: "wider", expectedDigest: digest() },
      owner,
    );
    assert.equal(applied.outcome, "applied");
    const told = applied.changes.map(({ path, before, after }) => [path, before, after]);
    assert.deepEqual(told, [["tools.bash.allow", "false", "true"]]);
    const diff = await client.diff({ from: "1", to: "" }, owner);
    assert.match(
      diff.text,
      /^--- a\/a\.yaml\n\+\+\+ b\/a\.yaml\n@@ -1 \+1 @@\n-.*false.*\n\+.*true/,
    );
    assert.equal(
      (await client.apply({ files: [file("a.yaml", OPEN)] }, owner)).outcome,
      "unchanged",
    );
    const back = await client.rollback({ version: "1" }, owner);
    assert.deepEqual([back.version?.version, back.version?.rollbackOf], [3n, 1n]);
    assert.equal(await Deno.readTextFile(`${directory}/a.yaml`), GLOBAL);
    const { versions } = await client.listVersions({}, owner);
    assert.deepEqual(
      versions.map(({ version, origin, author, current }) => [
        Number(version),
        origin,
        author,
        current,
      ]),
      [
        [3, "rollback", "operator:local", true],
        [2, "apply", "operator:local", false],
        [1, "start", "file", false],
      ],
    );
    assert.deepEqual(payloads().map(({ action }) => action), [
      "policy_loaded",
      "policy_apply",
      "policy_rollback",
    ]);
  });
});

Deno.test("documents are checked together, and a set that is wrong anywhere changes nothing", async () => {
  await withPolicy(async ({ client, as, digest }) => {
    const owner = await as("local", { role: "owner" });
    const before = digest();
    const bad = [
      { files: [file("b.yaml", GLOBAL), file("c.yaml", "tools: { x: { alow: true } }\n")] },
      { files: [file("../b.yaml", GLOBAL)] },
      { files: [file("b.yaml", GLOBAL), file("B.yaml", GLOBAL)] },
      { files: [file("A.yaml", GLOBAL)] },
      { files: [file("b.test.yaml", GLOBAL)] },
      { files: [file("b.yaml", "")] },
      { remove: ["nothing.yaml"] },
      { remove: ["a.yaml"] },
      { files: [file("a.yaml", OPEN)], remove: ["a.yaml"] },
      { files: [file("b.yaml", GLOBAL)], reason: "x".repeat(2_000) },
    ];
    for (const request of bad) {
      const { code } = await refusal(client.apply(request, owner));
      assert.equal(code, Code.INVALID_ARGUMENT, JSON.stringify(request).slice(0, 80));
    }
    const stale = { files: [file("a.yaml", OPEN)], expectedDigest: `sha256:${"0".repeat(64)}` };
    assert.equal((await refusal(client.apply(stale, owner))).code, Code.FAILED_PRECONDITION);
    for (const version of ["", "99", "zzzz"]) await refusal(client.rollback({ version }, owner));
    assert.equal(digest(), before);
  });
});

Deno.test("four eyes: a change waits for another person, who confirms exactly what was reviewed, once", async () => {
  await withPolicy(async ({ client, as, with: by, operators, keys, clock, digest, payloads }) => {
    const alice = await as("alice", { role: "owner" });
    const bob = await as("bob", { role: "org_admin" });
    const dev = await as("dev", { role: "developer" });
    const before = digest();
    const actor = operators.authenticate(
      alice.metadata.get("authorization")?.slice("Bearer ".length) ?? "",
    );
    assert.ok(actor);
    const { secret } = await keys.prepareCreate(actor, {
      role: "owner",
      label: "second key",
      key_scopes: ["admin"],
      ttl_seconds: 3_600,
    }).apply();
    clock.now += 1_000;
    const proposed = await client.apply({ files: [file("a.yaml", OPEN)] }, alice);
    assert.equal(proposed.outcome, "proposed");
    assert.equal(digest(), before);
    const id = proposed.proposal?.id ?? "";
    for (const self of [alice, by(secret)]) {
      const error = await refusal(client.confirmProposal({ id }, self));
      assert.equal(error.code, Code.PERMISSION_DENIED);
      assert.match(error.message, /your own: another operator must confirm it/);
    }
    const puppet = await as("puppet", { role: "owner" });
    assert.match(
      (await refusal(client.confirmProposal({ id }, puppet))).message,
      /was made after proposal/,
    );
    assert.equal((await refusal(client.confirmProposal({ id }, dev))).code, Code.PERMISSION_DENIED);
    const wrong = { id, expectedDigest: `sha256:${"0".repeat(64)}` };
    assert.equal(
      (await refusal(client.confirmProposal(wrong, bob))).code,
      Code.FAILED_PRECONDITION,
    );
    const diff = await client.diff({ proposal: id }, bob);
    assert.deepEqual(diff.changes.map(({ path }) => path), ["tools.bash.allow"]);
    const both = await Promise.allSettled([
      client.confirmProposal({ id, expectedDigest: proposed.proposal?.digest ?? "" }, bob),
      client.confirmProposal({ id }, bob),
    ]);
    assert.deepEqual(both.map(({ status }) => status).sort(), ["fulfilled", "rejected"]);
    assert.equal(digest(), proposed.proposal?.digest);
    const [newest] = (await client.listVersions({}, bob)).versions;
    assert.deepEqual([newest?.author, newest?.confirmedBy, newest?.proposalId], [
      "operator:alice",
      "operator:bob",
      id,
    ]);
    assert.equal(
      (await refusal(client.confirmProposal({ id }, bob))).code,
      Code.FAILED_PRECONDITION,
    );
    const actions = payloads().map(({ action }) => action);
    assert.ok(
      actions.indexOf("policy_proposed") < actions.indexOf("policy_proposal_confirmed") &&
        actions.indexOf("policy_proposal_confirmed") < actions.indexOf("policy_apply"),
    );
  }, { four_eyes_policy: true });
});

Deno.test("four eyes: an expired, stale, rejected or orphaned proposal is never put in force", async () => {
  await withPolicy(async ({ client, as, operators, clock, digest, store }) => {
    const alice = await as("alice", { role: "owner" });
    const bob = await as("bob", { role: "owner" });
    const carol = await as("carol", { role: "owner" });
    const before = digest();
    clock.now += 1_000;
    const propose = async (text: string, who = alice) => {
      const { proposal } = await client.apply({ files: [file("a.yaml", text)] }, who);
      return proposal?.id ?? "";
    };
    const ended = async (id: string, why: RegExp) => {
      const error = await refusal(client.confirmProposal({ id }, bob));
      assert.equal(error.code, Code.FAILED_PRECONDITION);
      assert.match(error.message, why);
    };
    const old = await propose(OPEN);
    clock.now += 86_400_000;
    await ended(old, /is expired/);
    clock.now -= 86_400_000;
    await ended(old, /is expired/);
    clock.now += 86_400_000;
    const rejected = await propose(OPEN);
    await client.rejectProposal({ id: rejected, reason: "no" }, alice);
    await ended(rejected, /is rejected/);
    const orphaned = await propose(`${OPEN}# carol\n`, carol);
    await operators.revoke("carol");
    await ended(orphaned, /not active any more/);
    assert.equal(digest(), before);
    const [first, second] = [await propose(`${OPEN}# 1\n`), await propose(`${OPEN}# 2\n`)];
    await client.confirmProposal({ id: first }, bob);
    await ended(second, /is stale/);
    const bad = [
      client.apply({ files: [file("a.yaml", GLOBAL)], proposalTtlSeconds: 1n << 40n }, alice),
      client.confirmProposal({ id: "prop_0" }, bob),
    ];
    for (const call of bad) await refusal(call);
    const records = (await Array.fromAsync(store.records("governance_proposals"))).flat();
    assert.ok(records.length >= 4);
  }, { four_eyes_policy: true });
});

Deno.test("a bundle goes to another gateway that trusts its signer, and to no other", async () => {
  let bundle = "";
  let own_key = "";
  await withPolicy(async ({ client, as }) => {
    const owner = await as("local", { role: "owner" });
    await client.apply(
      { files: [file("a.yaml", OPEN), file("t.yaml", "scope: team:t1\n")] },
      owner,
    );
    const exported = await client.exportBundle({}, owner);
    bundle = exported.bundle;
    own_key = exported.verifierKey;
    assert.equal((await client.verifyBundle({ bundle }, owner)).valid, true);
    const bound = await as("bound", { role: "viewer", org_id: "o1" });
    assert.equal(
      (await refusal(client.exportBundle({}, bound))).code,
      Code.PERMISSION_DENIED,
    );
  });
  await withPolicy(async ({ client, as, digest }) => {
    const owner = await as("local", { role: "owner" });
    const before = digest();
    const verdict = await client.verifyBundle({ bundle }, owner);
    assert.deepEqual([verdict.valid, verdict.because], [false, "unknown_signer"]);
    assert.equal(
      (await refusal(client.importBundle({ bundle, force: true }, owner))).code,
      Code.INVALID_ARGUMENT,
    );
    assert.equal(digest(), before);
  });
  await withPolicy(async ({ client, as, directory }) => {
    const owner = await as("local", { role: "owner" });
    const developer = await as("dev", { role: "developer" });
    assert.equal(
      (await refusal(client.importBundle({ bundle }, developer))).code,
      Code.PERMISSION_DENIED,
    );
    const taken = await client.importBundle({ bundle }, owner);
    assert.equal(taken.outcome, "applied");
    assert.equal(taken.version?.bundleVersion, 2n);
    assert.equal(await Deno.readTextFile(`${directory}/a.yaml`), OPEN);
  }, { signers: ["# a comment", own_key] });
});

Deno.test("a bundle older than one taken before is a downgrade, and taken only when forced", async () => {
  const theirs = key("example.com/theirs");
  const made = (version: number, text: string) =>
    signBundle(
      { version, parent: "none", mode: "directory", created_at_ms: NOW },
      [file("a.yaml", text)],
      theirs.sign,
    );
  await withPolicy(async ({ client, as, payloads }) => {
    const owner = await as("local", { role: "owner" });
    await client.importBundle({ bundle: made(7, `${GLOBAL}# 7\n`) }, owner);
    const old = made(6, OPEN);
    const verdict = await client.verifyBundle({ bundle: old }, owner);
    assert.deepEqual([verdict.valid, verdict.because], [false, "downgrade"]);
    assert.equal(
      (await refusal(client.importBundle({ bundle: old }, owner))).code,
      Code.FAILED_PRECONDITION,
    );
    const forced = await client.importBundle({ bundle: old, force: true }, owner);
    assert.deepEqual([forced.outcome, forced.version?.forced], ["applied", true]);
    const entry = payloads().findLast(({ action }) => action === "policy_import");
    assert.equal((entry?.["bundle"] as { forced?: boolean }).forced, true);
  }, { signers: [theirs.text] });
});
