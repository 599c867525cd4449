import assert from "node:assert/strict";
import fc from "fast-check";
import { MemoryStore } from "../../storage/memory/store.ts";
import type { Collection, Mutation } from "../../storage/sqlite/records.ts";
import { SECRET_LIMITS } from "../../core/secrets/limits.ts";
import { templateOf } from "../../core/secrets/substitute.ts";
import { KeySourceError, SecretError, type SecretFailure } from "./failure.ts";
import { keyRingFrom } from "./key_ring.ts";
import { Vault } from "./vault.ts";

const encode = (text: string) => new TextEncoder().encode(text);
const decode = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
const KEY_A = "0a".repeat(32);
const KEY_B = new Uint8Array(32).fill(11).toBase64();
const VALUE = "s3cr3t-v4lue-of-the-test";
const T1 = { org_id: "o", team_id: "t1" };
const T2 = { org_id: "o", team_id: "t2" };

class FaultyStore extends MemoryStore {
  /** Commits that still succeed. */
  good = Infinity;

  override commit(mutations: readonly Mutation[]): Promise<void> {
    return this.good-- > 0 ? super.commit(mutations) : Promise.reject(new Error("disk full"));
  }

  async all(collection: Collection): Promise<{ key: string; value: string }[]> {
    const records: { key: string; value: string }[] = [];
    for await (const page of this.records(collection)) records.push(...page);
    return records;
  }

  async text(): Promise<string> {
    const all = await Promise.all(
      (["secrets", "secret_keys", "issued_credentials"] as const).map((name) => this.all(name)),
    );
    return JSON.stringify(all);
  }
}

/** A vault whose key source can be changed, as a file can. */
async function vaultOn(store = new FaultyStore(), ...lines: string[]) {
  const state = { source: lines.join("\n"), recorded: [] as string[], audit_fault: false };
  const again = () => keyRingFrom(encode(state.source), "the test");
  const vault = await Vault.open({
    store,
    keys: lines.length === 0 ? undefined : { ring: await again(), again },
    now_ms: () => 1_000,
    record: (action, facts) => {
      if (state.audit_fault) return Promise.reject(new Error("disk full"));
      state.recorded.push(`${action} ${JSON.stringify(facts)}`);
      return Promise.resolve(BigInt(state.recorded.length));
    },
  });
  return { vault, store, state };
}

function asked(name: string, over: { tools?: string[]; replace?: boolean } = {}, tenant = T1) {
  return { ...tenant, name, tools: [], replace: false, actor: "operator:a", ...over };
}

async function filled(vault: Vault, args: string, tenant = T1, tool = "http"): Promise<string> {
  return decode(await vault.fill(tenant, tool, templateOf(encode(args))));
}

async function refusal(work: Promise<unknown>): Promise<SecretFailure> {
  try {
    await work;
  } catch (error) {
    assert.ok(error instanceof SecretError, String(error));
    assert.ok(!error.message.includes(VALUE));
    return error.code;
  }
  throw new assert.AssertionError({ message: "it was not refused" });
}

Deno.test("trap 57: a value is sealed at rest, survives a restart, and stands in no record and no evidence", async () => {
  const { vault, store, state } = await vaultOn(undefined, KEY_A);
  const value = encode(VALUE);
  await vault.register(asked("TOKEN"), value);
  assert.deepEqual(value, new Uint8Array(value.length), "the caller's bytes are overwritten");
  const again = (await vaultOn(store, KEY_A)).vault;
  assert.equal(await filled(again, '{"a":"x ${TOKEN}"}'), `{"a":"x ${VALUE}"}`);
  const everything = await store.text() + state.recorded.join("\n");
  for (const form of [VALUE, encode(VALUE).toBase64(), encode(VALUE).toHex()]) {
    assert.ok(!everything.includes(form.slice(0, 12)), form);
  }
  assert.match(state.recorded[0] ?? "", /^secret_registered .*"name":"TOKEN"/);
});

Deno.test("register twice is refused, replacing needs what it replaces, deleting an unknown name is not found", async () => {
  const { vault, state } = await vaultOn(undefined, KEY_A);
  await vault.register(asked("A"), encode(VALUE));
  assert.equal(
    await refusal(vault.register(asked("A"), encode("other-value"))),
    "already_registered",
  );
  assert.equal(await filled(vault, '"${A}"'), `"${VALUE}"`);
  const replaced = await vault.register(asked("A", { replace: true }), encode("the-second-value"));
  assert.equal(replaced.version, 2);
  assert.equal(await filled(vault, '"${A}"'), '"the-second-value"');
  assert.equal(
    await refusal(vault.register(asked("B", { replace: true }), encode("v"))),
    "not_found",
  );
  assert.equal(await refusal(vault.delete(T1, "B", "operator:a")), "not_found");
  await vault.delete(T1, "A", "operator:a");
  assert.equal(await refusal(filled(vault, '"${A}"')), "unknown_placeholder");
  assert.equal(
    (await vault.register(asked("A"), encode("third-value"))).version,
    3,
    "never 1 again",
  );
  assert.deepEqual(state.recorded.map((line) => line.split(" ")[0]), [
    "secret_registered",
    "secret_rotated",
    "secret_deleted",
    "secret_registered",
  ]);
});

Deno.test("a tenant has its own names, and a tool gets only what is for it", async () => {
  const { vault } = await vaultOn(undefined, KEY_A);
  await vault.register(asked("A", { tools: ["github"] }), encode("value-of-team-1"));
  await vault.register(asked("A", {}, T2), encode("value-of-team-2"));
  assert.equal(await filled(vault, '"${A}"', T2), '"value-of-team-2"');
  assert.equal(await refusal(filled(vault, '"${A}"', T1, "http")), "tool_not_allowed");
  assert.equal(await filled(vault, '"${A}"', T1, "github"), '"value-of-team-1"');
  const other = { org_id: "p", team_id: "t1" };
  assert.equal(await refusal(filled(vault, '"${A}"', other)), "unknown_placeholder");
  assert.throws(
    () => vault.check(T1, "x", ["NOPE"]),
    /^SecretError: Unknown placeholder: \$\{NOPE\}$/,
  );
});

Deno.test("without a key secrets are unconfigured: registering is refused with the next step", async () => {
  const { vault } = await vaultOn();
  assert.equal(vault.state.state, "unconfigured");
  await assert.rejects(vault.register(asked("A"), encode(VALUE)), /--secrets-key-file/);
  assert.throws(() => vault.check(T1, "x", ["A"]), /Unknown placeholder: \$\{A\}: .*unconfigured/);
  assert.equal(await refusal(vault.rotateKey("operator:a")), "unavailable");
});

Deno.test("a wrong key is a state of that name: nothing is dispatched, registered, scanned or changed", async () => {
  const { vault, store } = await vaultOn(undefined, KEY_A);
  await vault.register(asked("A"), encode(VALUE));
  const before = await store.text();
  const wrong = (await vaultOn(store, KEY_B)).vault;
  assert.equal(wrong.state.state, "wrong_key");
  assert.equal(await refusal(filled(wrong, '"${A}"')), "unavailable");
  assert.equal(await refusal(wrong.register(asked("B"), encode("v"))), "unavailable");
  assert.equal(await refusal(wrong.rotateKey("operator:a")), "unavailable");
  assert.throws(() => wrong.scan(encode(VALUE)), SecretError, "silence would be a claim");
  assert.equal(await store.text(), before);
  assert.equal((await vaultOn(store, KEY_A)).vault.state.state, "ready");
});

Deno.test("a new key wraps everything, the old one then opens nothing and is needed no more", async () => {
  const { vault, store, state } = await vaultOn(undefined, KEY_A);
  for (const name of ["A", "B", "C"]) await vault.register(asked(name), encode(`${VALUE}-${name}`));
  const sealed_before = (await store.all("secrets")).map(({ value }) => JSON.parse(value).sealed);
  assert.equal(
    (await vault.rotateKey("operator:a")).records,
    0,
    "nothing to do is nothing to record",
  );
  state.source = `# new first\n${KEY_B}\n\n${KEY_A}\n`;
  assert.equal(
    (await vault.rotateKey("operator:a")).records,
    4,
    "three secrets, one fingerprint key",
  );
  assert.equal(vault.state.state, "ready");
  const alone = (await vaultOn(store, KEY_B)).vault;
  assert.equal(alone.state.state, "ready");
  assert.equal(await filled(alone, '"${B}"'), `"${VALUE}-B"`);
  assert.equal(alone.scan(encode(`x${VALUE}-C`)).hits.length > 0, true);
  assert.equal((await vaultOn(store, KEY_A)).vault.state.state, "wrong_key");
  const sealed_after = (await store.all("secrets")).map(({ value }) => JSON.parse(value).sealed);
  assert.deepEqual(
    sealed_after.map(({ ciphertext }) => ciphertext),
    sealed_before.map(({ ciphertext }) => ciphertext),
    "only the wrapping changes",
  );
  assert.deepEqual(state.recorded.slice(3).map((line) => line.split(" ")[0]), [
    "secrets_key_rotation_started",
    "secrets_key_rotated",
  ]);
});

Deno.test("a rotation that was interrupted leaves everything readable and goes on when asked again", async () => {
  const { vault, store, state } = await vaultOn(undefined, KEY_A);
  const count = SECRET_LIMITS.rewrap_batch_records + 5;
  for (let n = 0; n < count; n++) await vault.register(asked(`N${n}`), encode(`${VALUE}-${n}`));
  state.source = `${KEY_B}\n${KEY_A}`;
  store.good = 1;
  assert.equal(await refusal(vault.rotateKey("operator:a")), "storage_failed");
  store.good = Infinity;
  const again = await vaultOn(store, KEY_B, KEY_A);
  assert.equal(again.vault.state.state, "rotating");
  assert.equal(await filled(again.vault, '"${N0}${N104}"'), `"${VALUE}-0${VALUE}-104"`);
  await again.vault.register(asked("NEW"), encode("registered-meanwhile"));
  assert.equal((await again.vault.rotateKey("operator:a")).records, 6);
  assert.equal((await vaultOn(store, KEY_B)).vault.state.state, "ready");
});

Deno.test("a rotation to a source that lost the old key is refused and changes nothing", async () => {
  const { vault, store, state } = await vaultOn(undefined, KEY_A);
  await vault.register(asked("A"), encode(VALUE));
  const before = await store.text();
  state.source = KEY_B;
  await assert.rejects(vault.rotateKey("operator:a"), /put it back below the new one/);
  state.source = "not a key";
  assert.equal(await refusal(vault.rotateKey("operator:a")), "unavailable");
  assert.equal(await store.text(), before);
  assert.equal(await filled(vault, '"${A}"'), `"${VALUE}"`);
});

Deno.test("records cannot be swapped, renamed, widened or edited: the vault is then damaged and dispatches nothing", async () => {
  const { vault, store } = await vaultOn(undefined, KEY_A);
  await vault.register(asked("A", { tools: ["github"] }), encode(VALUE));
  await vault.register(asked("A", {}, T2), encode("value-of-team-2"));
  const [a, b] = await store.all("secrets");
  assert.ok(a && b);
  const own = JSON.parse(a.value);
  const other = JSON.parse(b.value);
  const edits: unknown[] = [
    { ...own, sealed: other.sealed },
    { ...own, tools: [] },
    { ...own, version: 2 },
    { ...own, name: "B" },
    { ...own, scanned: false },
    { ...own, v: 2 },
    { ...own, sealed: { ...own.sealed, iv: other.sealed.iv } },
    { ...own, sealed: { ...own.sealed, ciphertext: `${own.sealed.ciphertext.slice(0, -4)}AAA=` } },
    { ...own, sealed: { ...own.sealed, wrapped_key: "AAAA" } },
    null,
  ];
  for (const edit of edits) {
    const value = JSON.stringify(edit);
    await store.commit([{ kind: "put_record", collection: "secrets", key: a.key, value }]);
    const again = (await vaultOn(store, KEY_A)).vault;
    assert.equal(again.state.state, "damaged", value.slice(0, 80));
    assert.equal(await refusal(filled(again, '"${A}"', T2)), "unavailable");
  }
  const mended = (await vaultOn(store, KEY_A)).vault;
  await mended.delete(T1, "A", "operator:a");
  assert.equal(mended.state.state, "ready");
  assert.equal(await filled(mended, '"${A}"', T2), '"value-of-team-2"');
});

Deno.test("a value whose fingerprints were removed is not dispatched: nothing would look for it", async () => {
  const { vault, store } = await vaultOn(undefined, KEY_A);
  await vault.register(asked("A"), encode(VALUE));
  for (const { key } of await store.all("issued_credentials")) {
    await store.commit([{ kind: "delete_record", collection: "issued_credentials", key }]);
  }
  assert.equal((await vaultOn(store, KEY_A)).vault.state.state, "damaged");
});

Deno.test("every value ever issued is looked for: replaced ones, deleted ones, after a restart", async () => {
  const { vault, store } = await vaultOn(undefined, KEY_A);
  await vault.register(asked("A"), encode("the-first-value-of-a"));
  await vault.register(asked("A", { replace: true }), encode("the-second-value-of-a"));
  await vault.register(asked("SHORT"), encode("1234567"));
  await vault.delete(T1, "A", "operator:a");
  const again = (await vaultOn(store, KEY_A)).vault;
  const found = (text: string) =>
    again.scan(encode(text)).hits.map(({ label }) => `${label.name}@${label.version}`);
  assert.deepEqual(found('{"k":"the-first-value-of-a"}'), ["A@1"]);
  assert.deepEqual(found(btoa("user:the-second-value-of-a")), ["A@2"]);
  assert.deepEqual(found("1234567"), [], "too short to be told from chance");
  assert.equal(again.list().find((record) => record.name === "SHORT")?.scanned, false);
});

Deno.test("a mutation without evidence or without the store changes nothing", async () => {
  const { vault, store, state } = await vaultOn(undefined, KEY_A);
  await vault.register(asked("A"), encode(VALUE));
  const before = await store.text();
  state.audit_fault = true;
  assert.equal(await refusal(vault.register(asked("B"), encode("v"))), "audit_unavailable");
  assert.equal(await refusal(vault.delete(T1, "A", "operator:a")), "audit_unavailable");
  state.audit_fault = false;
  store.good = 0;
  assert.equal(await refusal(vault.register(asked("B"), encode("v"))), "storage_failed");
  assert.equal(await refusal(vault.delete(T1, "A", "operator:a")), "storage_failed");
  store.good = Infinity;
  assert.equal(await store.text(), before);
  assert.deepEqual(vault.list().map(({ name }) => name), ["A"]);
  assert.equal(await filled(vault, '"${A}"'), `"${VALUE}"`);
});

Deno.test("bad names and values are refused by field, and a value in the wrong field is not repeated", async () => {
  const { vault } = await vaultOn(undefined, KEY_A);
  const bad: [string, Uint8Array][] = [
    ["lower", encode("v")],
    ["", encode("v")],
    ["A".repeat(SECRET_LIMITS.name_chars + 1), encode("v")],
    ["A", new Uint8Array()],
    ["A", new Uint8Array(SECRET_LIMITS.value_bytes + 1).fill(65)],
    ["A", new Uint8Array([0xff, 0xfe])],
  ];
  for (const [name, value] of bad) {
    assert.equal(await refusal(vault.register(asked(name), value)), "invalid");
  }
  await assert.rejects(
    vault.register(asked("sk-live/secret value"), encode("v")),
    (error: Error) => {
      assert.ok(!error.message.includes("sk-live"));
      return true;
    },
  );
});

Deno.test("a key source is understood in hex and base64, and refused without repeating a byte of it", async () => {
  const hex = await keyRingFrom(encode(`${"0b".repeat(32)}\n`), "x");
  const base64 = await keyRingFrom(encode(`\t${KEY_B} \r\n# note\n`), "x");
  const url_safe = await keyRingFrom(encode(KEY_B.replace(/=$/, "")), "x");
  assert.equal(hex.active.id, base64.active.id);
  assert.equal(hex.active.id, url_safe.active.id);
  assert.match(hex.active.id, /^[0-9a-f]{16}$/);
  assert.equal(hex.active.key.extractable, false);
  const bad = [
    "",
    "# only a note",
    "0b".repeat(31),
    "0g".repeat(32),
    "p4ssw0rd",
    `${KEY_A}\n${KEY_A}`,
    `${KEY_A}\np4ssw0rd`,
    Array.from(
      { length: SECRET_LIMITS.master_keys + 1 },
      (_, n) => n.toString(16).padStart(2, "0").repeat(32),
    ).join("\n"),
    "x".repeat(SECRET_LIMITS.key_source_bytes + 1),
  ];
  for (const text of bad) {
    const source = encode(text);
    await assert.rejects(keyRingFrom(source, "the test"), (error) => {
      assert.ok(error instanceof KeySourceError);
      assert.ok(!error.message.includes("p4ssw0rd") && !error.message.includes("0a0a"));
      return true;
    });
    assert.ok(source.every((byte) => byte === 0), "overwritten all the same");
  }
});

Deno.test("whatever is done to secrets, a restart brings back the same values", async () => {
  const step = fc.tuple(
    fc.constantFrom("set", "replace", "delete", "restart", "rotate"),
    fc.constantFrom("A", "B"),
    fc.constantFrom(T1, T2),
    fc.string({ unit: "grapheme", minLength: 1, maxLength: 20 }).map((text) => text.toWellFormed()),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 12 }), async (steps) => {
      const model = new Map<string, string>();
      let lines = [KEY_A];
      let on = await vaultOn(undefined, ...lines);
      for (const [what, name, tenant, text] of steps) {
        const id = `${tenant.team_id}/${name}`;
        if (what === "restart") on = await vaultOn(on.store, ...lines);
        else if (what === "rotate") {
          lines = [lines[0] === KEY_A ? KEY_B : KEY_A, ...lines.slice(0, 1)];
          on.state.source = lines.join("\n");
          await on.vault.rotateKey("operator:a");
        } else if (what === "delete") {
          await on.vault.delete(tenant, name, "operator:a").catch(() => {});
          model.delete(id);
        } else {
          const replace = what === "replace";
          if (replace !== model.has(id)) continue;
          await on.vault.register(asked(name, { replace }, tenant), encode(text));
          model.set(id, text);
        }
      }
      const again = (await vaultOn(on.store, ...lines)).vault;
      for (const tenant of [T1, T2]) {
        for (const name of ["A", "B"]) {
          const value = model.get(`${tenant.team_id}/${name}`);
          if (value === undefined) assert.throws(() => again.check(tenant, "t", [name]));
          else assert.equal(JSON.parse(await filled(again, `"\${${name}}"`, tenant)), value);
        }
      }
    }),
    { numRuns: 40 },
  );
});
