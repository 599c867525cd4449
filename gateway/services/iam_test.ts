import assert from "node:assert/strict";
import type { EntryDraft } from "../../core/audit/entry.ts";
import { Channel, Code, createClient, GrpcError, GrpcServer, Metadata } from "../../grpc/mod.ts";
import { IamService } from "../../proto/gen/assembly/admin/v1/iam_pb.ts";
import { MemoryStore } from "../../storage/memory/store.ts";
import { SYSTEM_CLOCK } from "../clock.ts";
import { Counters } from "../counters.ts";
import { Operators } from "../identity/operators.ts";
import { openIam } from "../rooms/iam.ts";

interface Fixture {
  readonly iam: ReturnType<typeof createClient<typeof IamService>>;
  readonly as: (token: string) => { metadata: Metadata };
  readonly owner: string;
  readonly payloads: () => Record<string, unknown>[];
  readonly failAudit: () => void;
}

async function withIam(work: (fixture: Fixture) => Promise<void>): Promise<void> {
  const store = new MemoryStore();
  const operators = await Operators.open(store, SYSTEM_CLOCK.now_ms);
  const owner = await operators.create({ name: "local", role: "owner", created_by: "gateway" });
  const entries: EntryDraft[] = [];
  let down = false;
  const audit = {
    append: (draft: EntryDraft) => {
      if (down) return Promise.reject(new GrpcError("no audit", Code.UNAVAILABLE));
      entries.push(draft);
      return Promise.resolve({ seq: BigInt(entries.length) });
    },
  };
  const room = await openIam({
    store,
    operators,
    // What the room needs of an entry's acknowledgement is its number.
    audit: audit as unknown as Parameters<typeof openIam>[0]["audit"],
    counters: new Counters(),
    clock: SYSTEM_CLOCK,
  });
  const server = new GrpcServer();
  room.serve(server);
  const listener = await server.listen({ transport: "tcp", hostname: "127.0.0.1", port: 0 });
  const channel = new Channel(`127.0.0.1:${listener.port}`);
  try {
    await work({
      iam: createClient(IamService, channel),
      as: (token) => ({ metadata: new Metadata().set("authorization", `Bearer ${token}`) }),
      owner,
      payloads: () => entries.map(({ payload }) => JSON.parse(payload)),
      failAudit: () => down = true,
    });
  } finally {
    await channel.close();
    await server.shutdown({ grace_ms: 100 });
    await room.close();
  }
}

async function codeOf(call: Promise<unknown>): Promise<Code> {
  const error = await call.then(() => undefined, (reason) => reason);
  assert.ok(error instanceof GrpcError, String(error));
  return error.code;
}

Deno.test("a key works as an operator token, and every change of it is on record without its secret", async () => {
  await withIam(async ({ iam, as, owner, payloads }) => {
    const made = await iam.createKey({ label: "ci", scopes: ["read:policies"] }, as(owner));
    const who = await iam.whoAmI({}, as(made.secret));
    assert.equal(who.operator?.name, "local");
    assert.equal(who.keyId, made.key?.id);
    assert.deepEqual(who.permissions.map(({ name }) => name), ["policy.read"]);
    const rotated = await iam.rotateKey({ id: who.keyId, overlapSeconds: 0n }, as(made.secret));
    assert.equal(await codeOf(iam.whoAmI({}, as(made.secret))), Code.UNAUTHENTICATED);
    await iam.revokeKey({ id: who.keyId }, as(owner));
    assert.equal(await codeOf(iam.whoAmI({}, as(rotated.secret))), Code.UNAUTHENTICATED);
    assert.deepEqual(payloads().map(({ action, actor }) => [action, actor]), [
      ["api_key_created", "operator:local"],
      ["api_key_rotated", "operator:local"],
      ["api_key_revoked", "operator:local"],
    ]);
    const text = JSON.stringify(payloads());
    assert.ok(!text.includes(made.secret) && !text.includes(rotated.secret));
    assert.equal((await iam.listKeys({}, as(owner))).keys.length, 0);
    const [kept] = (await iam.listKeys({ includeEnded: true }, as(owner))).keys;
    assert.equal(kept?.status, "revoked");
  });
});

Deno.test("what cannot be put on record is not done", async () => {
  await withIam(async ({ iam, as, owner, failAudit }) => {
    failAudit();
    assert.equal(
      await codeOf(iam.createKey({ label: "x", scopes: ["admin"] }, as(owner))),
      Code.UNAVAILABLE,
    );
    assert.equal(
      await codeOf(iam.createOperator({ name: "eve", role: "owner" }, as(owner))),
      Code.UNAVAILABLE,
    );
    assert.equal(await codeOf(iam.rotateOperatorToken({}, as(owner))), Code.UNAVAILABLE);
    assert.equal((await iam.listKeys({ includeEnded: true }, as(owner))).keys.length, 0);
    assert.equal((await iam.listOperators({}, as(owner))).operators.length, 1);
  });
});

Deno.test("an organisation's admin manages its own people, and no owner", async () => {
  await withIam(async ({ iam, as, owner }) => {
    const { token } = await iam.createOperator({
      name: "admin",
      role: "admin",
      orgId: "o1",
    }, as(owner));
    const admin = as(token);
    await iam.createOperator({ name: "dev", role: "developer", teamId: "t1" }, admin);
    const refused = [
      iam.createOperator({ name: "x", role: "owner" }, admin),
      iam.createOperator({ name: "x", role: "viewer", orgId: "o2" }, admin),
    ];
    for (const call of refused) {
      const code = await codeOf(call);
      assert.ok(code === Code.PERMISSION_DENIED || code === Code.INVALID_ARGUMENT, String(code));
    }
    assert.equal(await codeOf(iam.revokeOperator({ name: "local" }, admin)), Code.NOT_FOUND);
    const seen = (await iam.listOperators({}, admin)).operators;
    assert.deepEqual(seen.map(({ name, orgId, teamId }) => [name, orgId, teamId]), [
      ["admin", "o1", ""],
      ["dev", "o1", "t1"],
    ]);
    await iam.revokeOperator({ name: "dev" }, admin);
    const dev = (await iam.listOperators({}, as(owner))).operators.find(({ name }) =>
      name === "dev"
    );
    assert.equal(dev?.status, "revoked");
  });
});

Deno.test("the last owner can be neither revoked nor locked out; its token is rotated by presenting it", async () => {
  await withIam(async ({ iam, as, owner }) => {
    assert.equal(
      await codeOf(iam.revokeOperator({ name: "local" }, as(owner))),
      Code.FAILED_PRECONDITION,
    );
    const { token } = await iam.rotateOperatorToken({}, as(owner));
    assert.equal(await codeOf(iam.whoAmI({}, as(owner))), Code.UNAUTHENTICATED);
    assert.equal((await iam.whoAmI({}, as(token))).operator?.role, "owner");
    const { secret } = await iam.createKey({ label: "k", scopes: ["admin"] }, as(token));
    assert.equal(await codeOf(iam.rotateOperatorToken({}, as(secret))), Code.PERMISSION_DENIED);
  });
});

Deno.test("P4: an auditor sees who holds what and changes nothing, a viewer sees only its own keys", async () => {
  await withIam(async ({ iam, as, owner }) => {
    const auditor = as(
      (await iam.createOperator({ name: "aud", role: "auditor" }, as(owner))).token,
    );
    const viewer = as((await iam.createOperator({ name: "vie", role: "viewer" }, as(owner))).token);
    assert.equal((await iam.listOperators({}, auditor)).operators.length, 3);
    assert.equal(await codeOf(iam.listOperators({}, viewer)), Code.PERMISSION_DENIED);
    await iam.createKey({ label: "k", scopes: ["admin"] }, as(owner));
    assert.equal((await iam.listKeys({}, auditor)).keys.length, 1);
    assert.equal((await iam.listKeys({}, viewer)).keys.length, 0);
    for (const who of [auditor, viewer]) {
      const writes = [
        iam.createOperator({ name: "x", role: "viewer" }, who),
        iam.revokeOperator({ name: "local" }, who),
        iam.createKey({ label: "x", scopes: ["read:audit"] }, who),
      ];
      for (const call of writes) assert.equal(await codeOf(call), Code.PERMISSION_DENIED);
      const { keys } = await iam.listKeys({}, as(owner));
      const id = keys[0]?.id ?? "";
      assert.equal(await codeOf(iam.revokeKey({ id }, who)), Code.NOT_FOUND);
      assert.notEqual(await codeOf(iam.rotateKey({ id }, who)), Code.OK);
    }
  });
});

Deno.test("an operator with an end ends, and a role or scope that is none is refused by name", async () => {
  await withIam(async ({ iam, as, owner }) => {
    const made = await iam.createOperator(
      { name: "guest", role: "viewer", ttlSeconds: 60n },
      as(owner),
    );
    assert.ok((made.operator?.expiresAtUnixMs ?? 0n) > BigInt(Date.now()));
    const bad = [
      iam.createOperator({ name: "x", role: "root" }, as(owner)),
      iam.createOperator({ name: "x", role: "viewer", ttlSeconds: 1n << 60n }, as(owner)),
      iam.createOperator({ name: "x", role: "team_admin" }, as(owner)),
      iam.createKey({ label: "x", scopes: ["write:everything"] }, as(owner)),
      iam.createKey({ label: "x", scopes: [] }, as(owner)),
      iam.createKey({ label: "x", scopes: ["admin"], ttlSeconds: 1n << 60n }, as(owner)),
    ];
    for (const call of bad) assert.equal(await codeOf(call), Code.INVALID_ARGUMENT);
    const { roles } = await iam.listRoles({}, as(owner));
    assert.deepEqual(roles.map(({ name, documentScopes }) => [name, documentScopes.join(" ")]), [
      ["owner", "global org team agent tool"],
      ["org_admin", "global org team agent tool"],
      ["team_admin", "team agent tool"],
      ["developer", "agent tool"],
      ["viewer", ""],
      ["auditor", ""],
    ]);
  });
});
