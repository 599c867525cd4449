import assert from "node:assert/strict";
import { LIMITS } from "../../core/limits.ts";
import { PolicyLoadError } from "./policy_files.ts";
import { PolicyStore, type ReloadEvent } from "./policy_store.ts";

const GLOBAL = "tools:\n  bash: { allow: false }\n";
const TEAM = "scope: team:t1\ntools:\n  search: { allow: false }\n";

interface Opened {
  readonly directory: string;
  readonly store: PolicyStore;
  readonly events: ReloadEvent[];
  /** Set to make the audit log refuse. */
  fault: Error | undefined;
}

async function withStore(
  files: Readonly<Record<string, string>>,
  use: (opened: Opened) => Promise<void>,
  path = "",
): Promise<void> {
  const directory = await Deno.makeTempDir({ prefix: "policy-store-" });
  try {
    for (const [name, text] of Object.entries(files)) {
      await Deno.writeTextFile(`${directory}/${name}`, text);
    }
    const events: ReloadEvent[] = [];
    const opened: Opened = { directory, events, fault: undefined, store: undefined as never };
    const store = await PolicyStore.open(
      { kind: "path", path: `${directory}${path}`, defaulted: false },
      {
        now_ms: () => 1_750_000_000_000,
        record: (event) => {
          if (opened.fault !== undefined) return Promise.reject(opened.fault);
          events.push(event);
          return Promise.resolve();
        },
      },
    );
    await use(Object.assign(opened, { store }));
    await store.close();
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

function files(store: PolicyStore): string[] {
  return store.current.documents.map((compiled) => compiled.document.file);
}

Deno.test("X8: a file edited to invalid YAML leaves the old cascade in force and says where it is wrong", async () => {
  await withStore({ "a.yaml": GLOBAL }, async ({ directory, store, events }) => {
    const before = store.current;
    await Deno.writeTextFile(`${directory}/a.yaml`, "tools:\n  bash: { alow: false }\n");
    await store.reload();
    assert.equal(store.current, before);
    assert.equal(store.status().state, "degraded");
    assert.match(store.status().last_error, /a\.yaml:2:\d+: tools\.bash\.alow/);
    assert.deepEqual(events.map((event) => event.outcome), ["refused"]);
    await store.reload();
    assert.equal(events.length, 1, "the same bad file is reported once");
    await Deno.writeTextFile(`${directory}/a.yaml`, `${GLOBAL}# mended\n`);
    await store.reload();
    assert.equal(store.status().state, "enforced");
    assert.equal(store.status().last_error, "");
  });
});

Deno.test("X9: a file truncated to nothing is refused and the old policy stays", async () => {
  await withStore({ "a.yaml": GLOBAL }, async ({ directory, store }) => {
    for (const text of ["", " \n\n"]) {
      await Deno.writeTextFile(`${directory}/a.yaml`, text);
      await store.reload();
      assert.equal(store.current.epoch, 1);
      assert.equal(store.status().state, "degraded");
    }
  }, "/a.yaml");
});

Deno.test("X10: a new scoped file applies as a whole and raises the epoch by one", async () => {
  await withStore({ "a.yaml": GLOBAL }, async ({ directory, store, events }) => {
    await Deno.writeTextFile(`${directory}/b.yaml`, TEAM);
    await store.reload();
    assert.deepEqual(files(store), ["a.yaml", "b.yaml"]);
    assert.equal(store.current.epoch, 2);
    const [event] = events;
    assert.equal(event?.outcome, "applied");
    assert.equal(event?.outcome === "applied" && event.after.length, 2);
  });
});

Deno.test("trap 5: deleting every file of a directory keeps the last good cascade instead of allowing all", async () => {
  await withStore({ "a.yaml": GLOBAL }, async ({ directory, store }) => {
    await Deno.remove(`${directory}/a.yaml`);
    await store.reload();
    assert.deepEqual(files(store), ["a.yaml"]);
    assert.match(store.status().last_error, /holds no policy any more/);
    await Deno.remove(directory, { recursive: true });
    await store.reload();
    assert.deepEqual(files(store), ["a.yaml"]);
    await Deno.mkdir(directory);
    await Deno.writeTextFile(`${directory}/a.yaml`, GLOBAL);
    await store.reload();
    assert.equal(store.status().state, "enforced");
  });
});

Deno.test("trap 5: an empty directory is unconfigured, not permissive", async () => {
  await withStore({}, async ({ directory, store }) => {
    assert.equal(store.status().state, "unconfigured");
    assert.equal(store.current.state, "unconfigured");
    await Deno.writeTextFile(`${directory}/a.yaml`, GLOBAL);
    await store.reload();
    assert.equal(store.status().state, "enforced");
  });
});

Deno.test("trap 54: an editor that saves by rename is followed", async () => {
  await withStore({ "a.yaml": GLOBAL }, async ({ directory, store }) => {
    await Deno.writeTextFile(`${directory}/.a.yaml.swp`, "tools:\n  bash: { allow: true }\n");
    await Deno.rename(`${directory}/.a.yaml.swp`, `${directory}/a.yaml`);
    await store.reload();
    assert.equal(store.current.epoch, 2);
    assert.equal(store.status().state, "permissive");
  }, "/a.yaml");
});

Deno.test("trap 54: a .yml file is named in a warning, tests beside policies are left out", async () => {
  const contents = { "a.yaml": GLOBAL, "b.yml": TEAM, "a.test.yaml": "not: a policy" };
  await withStore(contents, ({ store }) => {
    assert.deepEqual(files(store), ["a.yaml"]);
    assert.match(store.status().warnings.join("\n"), /b\.yml: not loaded/);
    return Promise.resolve();
  });
});

Deno.test("a policy that cannot be recorded does not take effect, and is tried again", async () => {
  await withStore({ "a.yaml": GLOBAL }, async (opened) => {
    const { directory, store } = opened;
    opened.fault = new Error("disk full");
    await Deno.writeTextFile(`${directory}/b.yaml`, TEAM);
    await store.reload();
    assert.deepEqual(files(store), ["a.yaml"]);
    assert.equal(store.status().state, "degraded");
    opened.fault = undefined;
    await store.reload();
    assert.deepEqual(files(store), ["a.yaml", "b.yaml"]);
    assert.equal(store.status().state, "enforced");
  });
});

Deno.test("one bad file among many refuses the whole start, with every problem located", async () => {
  const directory = await Deno.makeTempDir();
  try {
    await Deno.writeTextFile(`${directory}/a.yaml`, GLOBAL);
    await Deno.writeTextFile(`${directory}/b.yaml`, "tols: {}\nnetwork: { allowlist: [''] }\n");
    await assert.rejects(
      PolicyStore.open({ kind: "path", path: directory, defaulted: false }, {
        now_ms: () => 0,
        record: () => Promise.resolve(),
      }),
      (error: unknown) => {
        assert.ok(error instanceof PolicyLoadError);
        assert.match(error.message, /b\.yaml:1:\d+: tols/);
        assert.match(error.message, /b\.yaml:2:\d+: network\.allowlist\[0\]/);
        return true;
      },
    );
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

Deno.test("a policy file over the size bound is refused unread and the old policy stays", async () => {
  await withStore({ "a.yaml": GLOBAL }, async ({ directory, store }) => {
    await Deno.writeFile(
      `${directory}/a.yaml`,
      new Uint8Array(LIMITS.policy_file_bytes + 2_000_000).fill(32),
    );
    await store.reload();
    assert.equal(store.current.epoch, 1);
    assert.match(store.status().last_error, new RegExp(`${LIMITS.policy_file_bytes}|bytes`));
  });
});

Deno.test("watching takes up a change without being told", async () => {
  await withStore({ "a.yaml": GLOBAL }, async ({ directory, store }) => {
    store.watch();
    await Deno.writeTextFile(`${directory}/b.yaml`, TEAM);
    const until = Date.now() + 10_000;
    while (store.current.epoch === 1 && Date.now() < until) {
      await new Promise((resolve) => setTimeout(resolve, 25));
    }
    assert.deepEqual(files(store), ["a.yaml", "b.yaml"]);
  });
});
