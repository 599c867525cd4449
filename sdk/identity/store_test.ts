import assert from "node:assert/strict";
import { IdentityUnavailableError } from "../errors.ts";
import { IdentityStore } from "./store.ts";

async function inDirectory(use: (directory: string) => Promise<void>): Promise<void> {
  const directory = await Deno.makeTempDir();
  try {
    await use(`${directory}/identity`);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

/** SHA-256 of `agent-1` (contract `wire` §6.2). */
const SLUG = "6ff3b3bd11c44cac620c43d5b65377bd2ba7e8951c1e835ae40c96733730982b";

Deno.test("an agent keeps its key over restarts, in the reference's file", async () => {
  await inDirectory(async (directory) => {
    const store = new IdentityStore({ directory, now_ms: () => 1_700_000_000_000 });
    const keys = await Promise.all(Array.from({ length: 8 }, () => store.key("agent-1")));
    assert.equal(new Set(keys.map(({ did }) => did)).size, 1);
    assert.match(keys[0]?.did ?? "", /^did:key:z6Mk/);
    const path = `${directory}/${SLUG}.key`;
    const lines = (await Deno.readTextFile(path)).trimEnd().split("\n");
    assert.deepEqual(lines.slice(0, 3), [
      "aa-identity-key/1",
      "agent_id_hex=6167656e742d31",
      "created_at_unix=1700000000",
    ]);
    assert.match(lines[3] ?? "", /^secret_seed_hex=[0-9a-f]{64}$/);
    assert.equal(((await Deno.stat(path)).mode ?? 0) & 0o777, 0o600);
    assert.equal(((await Deno.stat(directory)).mode ?? 0) & 0o777, 0o700);
    assert.deepEqual([...Deno.readDirSync(directory)].map(({ name }) => name), [`${SLUG}.key`]);
    const again = await new IdentityStore({ directory }).key("agent-1");
    assert.equal(again.did, keys[0]?.did);
  });
});

type Damage = (path: string, directory: string) => Promise<void>;

const DAMAGES: readonly [string, RegExp, Damage][] = [
  ["a symbolic link", /symbolic link/, async (path) => {
    await Deno.rename(path, `${path}.elsewhere`);
    await Deno.symlink(`${path}.elsewhere`, path);
  }],
  ["bits for the group", /mode `0640`/, (path) => Deno.chmod(path, 0o640)],
  ["bits for others", /mode `0602`/, (path) => Deno.chmod(path, 0o602)],
  ["a directory open to others", /mode `0755`/, (_, directory) => Deno.chmod(directory, 0o755)],
  ["an empty file", /damaged/, (path) => Deno.writeTextFile(path, "")],
  ["another format", /damaged/, async (path) => {
    await Deno.writeTextFile(path, (await Deno.readTextFile(path)).replace("key/1", "key/2"));
  }],
  ["a line more", /damaged/, (path) => Deno.writeTextFile(path, "x=1\n", { append: true })],
  ["a short seed", /damaged/, async (path) => {
    await Deno.writeTextFile(path, (await Deno.readTextFile(path)).trimEnd().slice(0, -2));
  }],
  ["another agent's key", /another agent/, async (path) => {
    const text = await Deno.readTextFile(path);
    await Deno.writeTextFile(path, text.replace("6167656e742d31", "6167656e742d32"));
  }],
  ["a revocation", /revoked/, (path) => Deno.writeTextFile(`${path}.revoked`, "")],
  ["a directory in its place", /no file/, async (path) => {
    await Deno.remove(path);
    await Deno.mkdir(path);
  }],
];

for (const [name, why, damage] of DAMAGES) {
  Deno.test(`an identity is refused, not repaired: ${name}`, async () => {
    await inDirectory(async (directory) => {
      const store = new IdentityStore({ directory });
      await store.key("agent-1");
      const path = `${directory}/${SLUG}.key`;
      const seed = /secret_seed_hex=(\S+)/.exec(await Deno.readTextFile(path))?.[1] ?? "none";
      await damage(path, directory);
      await assert.rejects(store.key("agent-1"), (error: unknown) => {
        assert.ok(error instanceof IdentityUnavailableError);
        assert.match(error.message, why);
        assert.ok(!error.message.includes(seed), "the error repeats the seed");
        return true;
      });
    });
  });
}

Deno.test("an identity of another user is refused", async () => {
  await inDirectory(async (directory) => {
    await new IdentityStore({ directory }).key("agent-1");
    const other = new IdentityStore({ directory, owner_uid: 4_000_000 });
    await assert.rejects(other.key("agent-1"), /belongs to user/);
  });
});

Deno.test("a did:key cannot be configured; rotation keeps the old key aside", async () => {
  await inDirectory(async (directory) => {
    const store = new IdentityStore({ directory, now_ms: () => 5_000 });
    await assert.rejects(store.key("did:key:z6MkFoo"), IdentityUnavailableError);
    const before = await store.key("agent-1");
    await store.revoke("agent-1");
    await assert.rejects(store.key("agent-1"), /revoked/);
    await store.rotate("agent-1");
    assert.notEqual((await store.key("agent-1")).did, before.did);
    const names = [...Deno.readDirSync(directory)].map(({ name }) => name).sort();
    assert.deepEqual(names, [`${SLUG}.key`, `${SLUG}.retired-5.key`]);
  });
});
