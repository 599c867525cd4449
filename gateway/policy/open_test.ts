import assert from "node:assert/strict";
import type { EntryDraft } from "../../core/audit/entry.ts";
import { MemoryStore } from "../../storage/memory/store.ts";
import type { Mutation } from "../../storage/sqlite/records.ts";
import { SYSTEM_CLOCK } from "../clock.ts";
import type { PolicySource } from "../config.ts";
import { loadPolicyTexts } from "../engine/policy_files.ts";
import type { ChangeOrigin } from "../engine/policy_store.ts";
import { type FileOperations, policyWriter, SYSTEM_FILES } from "./files_writer.ts";
import { HistoryError } from "./history.ts";
import { POLICY_CHANGE_LIMITS } from "./limits.ts";
import { type OpenPolicy, openPolicy, type PolicyGround } from "./open.ts";

const GLOBAL = "tools: { bash: { allow: false } }\n";
const TEAM = "scope: team:t1\ntools: { search: { allow: false } }\n";
const OPEN = "tools: { bash: { allow: true } }\n";
const BY: ChangeOrigin = { origin: "apply", author: "operator:ops", reason: "test" };

/** A store that can be told to fail. */
class TestStore extends MemoryStore {
  failing = false;

  override async commit(mutations: readonly Mutation[]): Promise<void> {
    if (this.failing) throw new Error("disk full");
    await super.commit(mutations);
  }
}

interface Ground {
  readonly directory: string;
  readonly store: TestStore;
  readonly actions: () => string[];
  readonly fault: { audit: boolean };
  open(more?: Partial<PolicyGround["config"]>, ground?: Partial<PolicyGround>): Promise<OpenPolicy>;
  files(): Promise<Record<string, string>>;
}

async function withGround(
  files: Readonly<Record<string, string>>,
  use: (ground: Ground) => Promise<void>,
): Promise<void> {
  const directory = await Deno.makeTempDir({ prefix: "policy-" });
  const store = new TestStore();
  const entries: EntryDraft[] = [];
  const fault = { audit: false };
  const audit = {
    append: (draft: EntryDraft) => {
      if (fault.audit) return Promise.reject(new Error("no audit"));
      entries.push(draft);
      return Promise.resolve({ seq: BigInt(entries.length) });
    },
  };
  const open: OpenPolicy[] = [];
  try {
    for (const [name, text] of Object.entries(files)) {
      await Deno.writeTextFile(`${directory}/${name}`, text);
    }
    await use({
      directory,
      store,
      fault,
      actions: () => entries.map(({ payload }) => JSON.parse(payload).action),
      open: async (more = {}, ground = {}) => {
        const source: PolicySource = {
          kind: "path",
          path: directory,
          defaulted: false,
          writable: true,
        };
        const opened = await openPolicy({
          config: { policy: source, ...more },
          store,
          // Of an acknowledgement only the number is read.
          audit: audit as unknown as PolicyGround["audit"],
          clock: SYSTEM_CLOCK,
          ...ground,
        });
        open.push(opened);
        return opened;
      },
      files: async () => {
        const found: [string, string][] = [];
        for await (const { name } of Deno.readDir(directory)) {
          found.push([name, await Deno.readTextFile(`${directory}/${name}`)]);
        }
        return Object.fromEntries(found.sort());
      },
    });
  } finally {
    for (const { policy } of open) await policy.close();
    await Deno.remove(directory, { recursive: true });
  }
}

function set(files: Readonly<Record<string, string>>) {
  const texts = Object.entries(files).map(([name, text]) => ({
    name,
    content: new TextEncoder().encode(text),
  }));
  return loadPolicyTexts("directory", texts);
}

Deno.test("trap 55: what is applied is in the files, in the history and in force for every scope, and after a restart", async () => {
  await withGround({ "a.yaml": GLOBAL, "old.yaml": TEAM, "note.txt": "kept" }, async (ground) => {
    const { policy, history } = await ground.open();
    await policy.replace(set({ "a.yaml": OPEN, "b.yaml": TEAM }), policy.digest, BY);
    assert.deepEqual(await ground.files(), {
      "a.yaml": OPEN,
      "b.yaml": TEAM,
      "note.txt": "kept",
    });
    assert.deepEqual(policy.current.documents.map(({ document }) => document.scope.tier), [
      "global",
      "team",
    ]);
    assert.equal(policy.current.epoch, 2);
    assert.equal(history.newest?.author, "operator:ops");
    assert.equal(history.pending, undefined);
    await policy.reload();
    assert.equal(policy.current.epoch, 2, "what it wrote itself is not taken for an edit");
    const again = await ground.open();
    assert.equal(again.policy.digest, policy.digest);
    assert.equal(again.history.list().length, 2);
    assert.deepEqual(ground.actions(), ["policy_loaded", "policy_apply"]);
  });
});

Deno.test("every edit of the files that takes effect is a version, with `file` as its author", async () => {
  await withGround({ "a.yaml": GLOBAL }, async (ground) => {
    const { policy, history } = await ground.open();
    await Deno.writeTextFile(`${ground.directory}/b.yaml`, TEAM);
    await policy.reload();
    await Deno.writeTextFile(`${ground.directory}/b.yaml`, "tools: [\n");
    await policy.reload();
    assert.deepEqual(
      history.list().map(({ version, origin, author }) => [version, origin, author]),
      [
        [2, "file", "file"],
        [1, "start", "file"],
      ],
    );
    const [newest, first] = history.list();
    assert.ok(newest && first);
    assert.equal(newest.parent, first.digest);
    const texts = await history.texts(first);
    assert.deepEqual(texts.map(({ name }) => name), ["a.yaml"]);
    assert.equal(new TextDecoder().decode(texts[0]?.content), GLOBAL);
  });
});

Deno.test("a change that cannot be recorded or kept does not happen, in the files neither", async () => {
  await withGround({ "a.yaml": GLOBAL }, async (ground) => {
    const { policy, history } = await ground.open();
    const before = policy.current;
    ground.fault.audit = true;
    await assert.rejects(policy.replace(set({ "a.yaml": OPEN }), policy.digest, BY), /no audit/);
    ground.fault.audit = false;
    ground.store.failing = true;
    await assert.rejects(policy.replace(set({ "a.yaml": OPEN }), policy.digest, BY), /disk full/);
    ground.store.failing = false;
    assert.equal(policy.current, before);
    assert.equal(history.list().length, 1);
    assert.deepEqual(await ground.files(), { "a.yaml": GLOBAL });
    assert.equal(ground.actions().at(-1), "policy_change_failed");
    await policy.replace(set({ "a.yaml": OPEN }), policy.digest, BY);
  });
});

Deno.test("files that cannot be written leave everything as it was", async () => {
  for (const failing of ["writeNew", "rename"] as const) {
    await withGround({ "a.yaml": GLOBAL, "c.yaml": TEAM }, async (ground) => {
      let left = 1;
      const files = {
        ...SYSTEM_FILES,
        [failing]: (...args: [string, string & Uint8Array]) =>
          left-- === 0 ? Promise.reject(new Error("no space")) : SYSTEM_FILES[failing](...args),
      };
      const { policy, history } = await ground.open({}, {
        writerFor: (path, directory) => policyWriter(path, directory, files),
      });
      const next = set({ "a.yaml": OPEN, "b.yaml": TEAM });
      await assert.rejects(policy.replace(next, policy.digest, BY), { code: "write_failed" });
      assert.deepEqual(await ground.files(), { "a.yaml": GLOBAL, "c.yaml": TEAM });
      assert.equal(policy.current.epoch, 1);
      assert.deepEqual([history.list().length, history.pending], [1, undefined]);
      await policy.reload();
      assert.equal(policy.status().last_error, "");
      await policy.replace(next, policy.digest, BY);
      assert.deepEqual(await ground.files(), { "a.yaml": OPEN, "b.yaml": TEAM });
      assert.equal(history.newest?.version, 3, "a version number is never given twice");
    });
  }
});

Deno.test("a change that a stop interrupts between two files is finished at the next start, or refused with the way out", async () => {
  await withGround({ "a.yaml": GLOBAL, "c.yaml": TEAM }, async (ground) => {
    // After the first file is in its place nothing works any more, as if the process had ended.
    let ended = false;
    const unlessEnded = <A extends unknown[]>(work: (...args: A) => Promise<void>) =>
      ended ? () => Promise.reject(new Error("ended")) : work;
    const files: FileOperations = {
      writeNew: (...args) => unlessEnded(SYSTEM_FILES.writeNew)(...args),
      remove: (...args) => unlessEnded(SYSTEM_FILES.remove)(...args),
      syncDirectory: (...args) => unlessEnded(SYSTEM_FILES.syncDirectory)(...args),
      rename: async (...args) => {
        await unlessEnded(SYSTEM_FILES.rename)(...args);
        ended = true;
      },
    };
    const { policy } = await ground.open({}, {
      writerFor: (path, directory) => policyWriter(path, directory, files),
    });
    const next = set({ "a.yaml": OPEN, "b.yaml": TEAM });
    await assert.rejects(policy.replace(next, policy.digest, BY), { code: "write_failed" });
    assert.equal((await ground.files())["a.yaml"], OPEN);
    await policy.reload();
    assert.equal(policy.current.epoch, 1, "half a change is not taken for an edit");
    assert.match(policy.status().last_error, /only in part/);
    const read_only = { kind: "path", path: ground.directory, defaulted: false } as const;
    await assert.rejects(ground.open({ policy: read_only }), /start with `--policy-writable`/);
    await Deno.writeTextFile(`${ground.directory}/c.yaml`, GLOBAL);
    await assert.rejects(ground.open(), /`c.yaml` was changed since/);
    await Deno.writeTextFile(`${ground.directory}/c.yaml`, TEAM);
    const again = await ground.open();
    assert.deepEqual(
      Object.entries(await ground.files()).filter(([name]) => name.endsWith(".yaml")),
      [["a.yaml", OPEN], ["b.yaml", TEAM]],
    );
    assert.equal(again.history.pending, undefined);
    assert.equal(again.policy.digest, again.history.newest?.digest);
    assert.ok(ground.actions().includes("policy_change_finished"));
  });
});

Deno.test("a change for another set than the one in force is refused, and so is one over unread edits", async () => {
  await withGround({ "a.yaml": GLOBAL }, async (ground) => {
    const { policy } = await ground.open();
    const first = policy.digest;
    await policy.replace(set({ "a.yaml": OPEN }), first, BY);
    await assert.rejects(policy.replace(set({ "a.yaml": GLOBAL }), first, BY), {
      code: "conflict",
    });
    await Deno.writeTextFile(`${ground.directory}/b.yaml`, TEAM);
    await assert.rejects(policy.replace(set({ "a.yaml": GLOBAL }), policy.digest, BY), {
      code: "conflict",
    });
    assert.equal((await ground.files())["b.yaml"], TEAM);
  });
});

Deno.test("without leave to write, and started on none, nothing is changed and the way is told", async () => {
  await withGround({ "a.yaml": GLOBAL }, async (ground) => {
    const path = ground.directory;
    for (
      const policy of [{ kind: "path", path, defaulted: false }, { kind: "none" }] as PolicySource[]
    ) {
      const opened = await ground.open({ policy });
      await assert.rejects(
        opened.policy.replace(set({ "a.yaml": OPEN }), opened.policy.digest, BY),
        { code: "not_writable", message: /--policy/ },
      );
    }
    assert.deepEqual(await ground.files(), { "a.yaml": GLOBAL });
  });
});

Deno.test("started on its history a gateway denies everything until a set is applied, then keeps it over restarts", async () => {
  await withGround({}, async (ground) => {
    const config = { policy: { kind: "history" } } as const;
    const { policy } = await ground.open(config);
    assert.equal(policy.status().state, "unconfigured");
    await policy.replace(set({ "a.yaml": GLOBAL }), policy.digest, BY);
    const again = await ground.open(config);
    assert.equal(again.policy.status().state, "enforced");
    assert.equal(again.policy.digest, policy.digest);
  });
});

Deno.test("under four eyes edited files change nothing, at a restart neither, until they are applied", async () => {
  await withGround({ "a.yaml": GLOBAL }, async (ground) => {
    const four_eyes = { four_eyes_policy: true };
    const { policy } = await ground.open(four_eyes);
    await Deno.writeTextFile(`${ground.directory}/a.yaml`, OPEN);
    await policy.reload();
    assert.equal(policy.status().state, "degraded");
    assert.match(policy.status().last_error, /four-eyes-policy/);
    const again = await ground.open(four_eyes);
    assert.equal(again.policy.digest, policy.digest);
    assert.equal(again.policy.status().state, "degraded");
    await again.policy.replace(set({ "a.yaml": OPEN }), policy.digest, BY);
    assert.equal(again.policy.status().last_error, "");
  });
});

Deno.test("a damaged version is named, never rolled back to, and never started on", async () => {
  await withGround({}, async (ground) => {
    const config = { policy: { kind: "history" } } as const;
    const { policy } = await ground.open(config);
    await policy.replace(set({ "a.yaml": GLOBAL }), policy.digest, BY);
    const records = (await Array.fromAsync(ground.store.records("policy_versions"))).flat();
    const file = records.find(({ key }) => key.startsWith("f/"));
    const version = records.find(({ key }) => key.startsWith("v/"));
    assert.ok(file && version);
    const damage = (key: string, value: string) =>
      ground.store.commit([{ kind: "put_record", collection: "policy_versions", key, value }]);
    await damage(file.key, '{"data":"AAAA"}');
    await assert.rejects(ground.open(config), HistoryError);
    await damage(file.key, file.value);
    await damage(version.key, version.value.replace('"a.yaml"', '"b.yaml"'));
    await assert.rejects(ground.open(config), /version `1`.*do not give its digest/);
    const opened = await ground.open({ policy: { kind: "none" } });
    assert.throws(() => opened.history.find("1"), { code: "damaged" });
  });
});

Deno.test("versions are found by number or digest, never by nothing, and the oldest are forgotten with their files", async () => {
  await withGround({}, async (ground) => {
    const { policy, history } = await ground.open({ policy: { kind: "history" } });
    const count = POLICY_CHANGE_LIMITS.versions + 3;
    for (let n = 1; n <= count; n++) {
      await policy.replace(set({ "a.yaml": `${GLOBAL}# ${n}\n` }), policy.digest, BY);
    }
    assert.equal(history.list().length, POLICY_CHANGE_LIMITS.versions);
    const newest = history.find(String(count));
    assert.equal(history.find(newest.digest).version, count);
    assert.equal(history.find(newest.digest.slice(7, 19)).version, count);
    for (const name of ["", "sha256:", "0", "1", "zz", "abc", "-1", "9".repeat(40)]) {
      assert.throws(() => history.find(name), { code: "not_found" }, name);
    }
    const keys = (await Array.fromAsync(ground.store.records("policy_versions"))).flat();
    assert.equal(keys.length, 2 * POLICY_CHANGE_LIMITS.versions);
  });
});
