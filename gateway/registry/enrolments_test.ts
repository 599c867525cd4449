import assert from "node:assert/strict";
import fc from "fast-check";
import type { EntryDraft } from "../../core/audit/entry.ts";
import { MemoryStore } from "../../storage/memory/store.ts";
import type { Mutation } from "../../storage/sqlite/records.ts";
import { SYSTEM_CLOCK } from "../clock.ts";
import {
  EnrolmentDamage,
  enrolmentState,
  enrolmentText,
  readEnrolment,
} from "./enrolment_record.ts";
import { type Applicant, type EnrolmentRequest, Enrolments } from "./enrolments.ts";

const NOW_MS = 1_700_000_000_000;
const HOUR_MS = 3_600_000;

class FailingStore extends MemoryStore {
  failing = false;
  override commit(mutations: readonly Mutation[]): Promise<void> {
    return this.failing ? Promise.reject(new Error("disk full")) : super.commit(mutations);
  }
}

class Room {
  now_ms = NOW_MS;
  audit_failing = false;
  readonly recorded: EntryDraft[] = [];
  readonly store = new FailingStore();
  enrolments = undefined as unknown as Enrolments;

  static async open(): Promise<Room> {
    const room = new Room();
    await room.restart();
    return room;
  }

  async restart(): Promise<void> {
    this.enrolments = await Enrolments.open({
      store: this.store,
      clock: { ...SYSTEM_CLOCK, now_ms: () => this.now_ms },
      record: (entry) => {
        if (this.audit_failing) return Promise.reject(new Error("audit failed"));
        this.recorded.push(entry);
        return Promise.resolve(BigInt(this.recorded.length - 1));
      },
    });
  }

  create(change: Partial<EnrolmentRequest> = {}) {
    return this.enrolments.create({
      org_id: "acme",
      team_id: "ops",
      max_uses: 1,
      expires_at_ms: this.now_ms + HOUR_MS,
      risk_tiers: [],
      spiffe: [],
      operator: "ana",
      ...change,
    });
  }

  /** A registration that stores what the enrolment asks for, as the registry does. */
  admit(token: string, change: Partial<Applicant> = {}): Promise<string> {
    const applicant = {
      org_id: "acme",
      team_id: "ops",
      agent_id: "did:key:z6Mk",
      certified: false,
      ...change,
    };
    return this.enrolments.admit(token, applicant, async ({ enrolment_id, beside }) => {
      await this.store.commit(beside);
      return enrolment_id;
    });
  }
}

Deno.test("trap 38: an enrolment admits agents of its organisation and team alone", async () => {
  const room = await Room.open();
  const { token, enrolment } = await room.create();
  for (const wrong of [{ org_id: "other" }, { team_id: "other" }, { team_id: "" }]) {
    await assert.rejects(room.admit(token, wrong), { code: "not_admitted" });
  }
  assert.equal(await room.admit(token), enrolment.id);
});

Deno.test("an enrolment is used as often as it says, also across restarts and at the same time", async () => {
  const room = await Room.open();
  const { token } = await room.create({ max_uses: 3 });
  await room.admit(token);
  await room.restart();
  const outcomes = await Promise.allSettled([1, 2, 3, 4].map(() => room.admit(token)));
  assert.equal(outcomes.filter(({ status }) => status === "fulfilled").length, 2);
  await room.restart();
  await assert.rejects(room.admit(token), { code: "token_refused", message: /used up/ });
});

Deno.test("a registration that fails costs no use", async () => {
  const room = await Room.open();
  const { token } = await room.create();
  room.store.failing = true;
  await assert.rejects(room.admit(token), /disk full/);
  room.store.failing = false;
  await room.admit(token);
});

Deno.test("an expired, revoked, unknown or overlong token admits nobody", async () => {
  const room = await Room.open();
  const expired = await room.create();
  const revoked = await room.create({ expires_at_ms: NOW_MS + 10 * HOUR_MS });
  await room.enrolments.revoke(revoked.enrolment.id, "leaked", "ana");
  room.now_ms += HOUR_MS;
  await room.restart();
  await assert.rejects(room.admit(expired.token), { code: "token_refused", message: /expired/ });
  await assert.rejects(room.admit(revoked.token), { code: "token_refused", message: /revoked/ });
  for (const token of ["", "aasm_enrol_x", "x".repeat(5_000)]) {
    await assert.rejects(room.admit(token), { code: "token_refused" });
  }
});

Deno.test("a use that comes while a revocation is under way does not undo it", async () => {
  const room = await Room.open();
  const { token, enrolment } = await room.create({ max_uses: 9 });
  await Promise.allSettled([
    room.admit(token),
    room.enrolments.revoke(enrolment.id, "leaked", "ana"),
    room.admit(token),
  ]);
  await room.restart();
  await assert.rejects(room.admit(token), { code: "token_refused", message: /revoked/ });
});

Deno.test("only the listed risk tiers are admitted", async () => {
  const room = await Room.open();
  const { token } = await room.create({ risk_tiers: ["low", "medium"] });
  await assert.rejects(room.admit(token, { risk_tier: "high" }), { code: "not_admitted" });
  await assert.rejects(room.admit(token), { code: "not_admitted", message: /unspecified/ });
  await room.admit(token, { risk_tier: "medium" });
});

Deno.test("SPIFFE ids are admitted by name or trust domain, and by no near miss", async () => {
  const room = await Room.open();
  const { token } = await room.create({
    max_uses: 9,
    spiffe: ["spiffe://prod.example/agent/a", "spiffe://lab.example"],
  });
  const admitted = ["spiffe://prod.example/agent/a", "spiffe://lab.example/x/y"];
  for (const agent_id of admitted) await room.admit(token, { agent_id });
  for (
    const agent_id of [
      "spiffe://prod.example/agent/ab",
      "spiffe://prod.example/agent/a/b",
      "spiffe://prod.example/agent",
      "spiffe://lab.example.evil/x",
      "spiffe://sub.lab.example/x",
      "spiffe://lab.example",
      "did:key:z6Mk",
    ]
  ) await assert.rejects(room.admit(token, { agent_id }), { code: "not_admitted" }, agent_id);
  const plain = await room.create();
  const agent_id = "spiffe://lab.example/x";
  await assert.rejects(room.admit(plain.token, { agent_id }), { code: "not_admitted" });
  await room.admit(plain.token, { agent_id, certified: true });
});

Deno.test("what an enrolment cannot be is refused by field, and nothing is recorded", async () => {
  const room = await Room.open();
  const wrong: [Partial<EnrolmentRequest>, RegExp][] = [
    [{ org_id: "", team_id: "" }, /^org_id/],
    [{ org_id: "a\u0000" }, /^org_id/],
    [{ team_id: "x".repeat(1_025) }, /^team_id/],
    [{ org_id: "\ud800" }, /^org_id/],
    [{ max_uses: 0 }, /^max_uses/],
    [{ max_uses: 100_001 }, /^max_uses/],
    [{ max_uses: NaN }, /^max_uses/],
    [{ expires_at_ms: NOW_MS }, /^expires_at_unix_ms/],
    [{ expires_at_ms: NOW_MS + 367 * 24 * HOUR_MS }, /^expires_at_unix_ms/],
    [{ expires_at_ms: Infinity }, /^expires_at_unix_ms/],
    [{ spiffe: ["spiffe://A/b"] }, /^spiffe/],
    [{ spiffe: Array.from({ length: 65 }, (_, n) => `spiffe://d/${n}`) }, /^spiffe/],
  ];
  for (const [change, message] of wrong) {
    await assert.rejects(room.create(change), { code: "invalid_field", message });
  }
  assert.deepEqual([room.enrolments.size, room.recorded.length], [0, 0]);
});

Deno.test("what cannot be recorded or stored is not made, and the log says so", async () => {
  const room = await Room.open();
  room.audit_failing = true;
  await assert.rejects(room.create(), /audit failed/);
  room.audit_failing = false;
  room.store.failing = true;
  await assert.rejects(room.create(), /disk full/);
  assert.equal(room.enrolments.size, 0);
  const actions = room.recorded.map((entry) => JSON.parse(entry.payload).action);
  assert.deepEqual(actions, ["enrolment_created", "enrolment_created_not_applied"]);
});

Deno.test("neither the log nor the store ever holds an enrolment token", async () => {
  const room = await Room.open();
  const { token, enrolment } = await room.create();
  await room.enrolments.revoke(enrolment.id, "done", "ana");
  const stored = (await Array.fromAsync(room.store.records("enrolments"))).flat();
  for (
    const text of [
      ...stored.map(({ value }) => value),
      ...room.recorded.map((e) => e.payload),
    ]
  ) {
    assert.ok(!text.includes(token) && !text.includes(token.slice(-20)));
  }
  for (const { payload } of room.recorded) assert.ok(!payload.includes(enrolment.token_hash));
});

Deno.test("a damaged enrolment stops the start by name; it is not guessed at", async () => {
  const room = await Room.open();
  const { enrolment } = await room.create();
  const good = JSON.parse(enrolmentText(enrolment));
  const damages: unknown[] = [
    null,
    [],
    { ...good, version: 2 },
    { ...good, id: "another" },
    { ...good, uses: -1 },
    { ...good, uses: "0" },
    { ...good, max_uses: 1.5 },
    { ...good, token_hash: "AB".repeat(32) },
    { ...good, risk_tiers: ["none"] },
    { ...good, spiffe: ["spiffe://A"] },
    { ...good, expires_at_ms: undefined },
    { ...good, revoked_at_ms: "never" },
  ];
  for (const damage of damages) {
    await room.store.commit([{
      kind: "put_record",
      collection: "enrolments",
      key: enrolment.id,
      value: JSON.stringify(damage),
    }]);
    await assert.rejects(room.restart(), (error) => error instanceof EnrolmentDamage);
  }
});

Deno.test("an enrolment is read back as it was written", () => {
  const text = fc.string({ unit: "grapheme", maxLength: 20 });
  const count = fc.nat();
  fc.assert(fc.property(
    fc.record({
      org_id: text,
      team_id: text,
      max_uses: count,
      uses: count,
      created_at_ms: count,
      expires_at_ms: count,
      created_by: text,
      risk_tiers: fc.constantFrom([], ["low"] as const, ["high", "critical"] as const),
      spiffe: fc.constantFrom([], ["spiffe://a/b", "spiffe://c"]),
    }),
    fc.option(count),
    (fields, revoked) => {
      const enrolment = {
        id: "e1",
        token_hash: "0".repeat(64),
        ...fields,
        ...(revoked === null ? {} : { revoked_at_ms: revoked }),
      };
      const read = readEnrolment({ key: "e1", value: enrolmentText(enrolment) });
      assert.deepEqual(read, enrolment);
      if (revoked !== null) assert.equal(enrolmentState(read, 0), "revoked");
    },
  ));
});
