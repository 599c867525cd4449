import assert from "node:assert/strict";
import { DatabaseSync } from "node:sqlite";
import { SqliteStore } from "./store.ts";

const CHILD = new URL("./crash_child.ts", import.meta.url).pathname;

/** Kills a writing process once it acknowledged `count` records; returns those. */
async function killAfter(path: string, start: number, lanes: number, count: number) {
  const child = new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "--no-prompt",
      "--cached-only",
      `--allow-read=${path},${new URL(".", import.meta.url).pathname}`,
      `--allow-write=${path}`,
      CHILD,
      path,
      String(start),
      String(lanes),
    ],
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  let text = "";
  let killed = false;
  for await (const chunk of child.stdout.pipeThrough(new TextDecoderStream())) {
    text += chunk;
    if (!killed && text.split("\n").length > count) {
      child.kill("SIGKILL");
      killed = true;
    }
  }
  await child.status;
  // The last line may be cut short by the kill.
  return text.split("\n").slice(0, -1).map(Number);
}

Deno.test("after kill -9 every acknowledged record is present and the database is sound", async () => {
  const folder = await Deno.makeTempDir();
  const path = `${folder}/state.db`;
  try {
    const acknowledged: number[] = [];
    for (const [round, lanes] of [1, 16, 64, 16].entries()) {
      acknowledged.push(...await killAfter(path, round * 100_000, lanes, 20 + round * 37));
      await using store = await SqliteStore.open({ path });
      const kept = new Set((await Array.fromAsync(store.agents())).flat().map((a) => a.name));
      const lost = acknowledged.filter((index) => !kept.has(`agent ${index}`));
      assert.deepEqual(lost, [], `round ${round}`);
    }
    assert.ok(acknowledged.length > 100, `${acknowledged.length} records acknowledged`);
    const database = new DatabaseSync(path);
    assert.equal(database.prepare("PRAGMA integrity_check").get()?.integrity_check, "ok");
    database.close();
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("the store works with no more than the permissions it names, and names one that lacks", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const path = `${folder}/state.db`;
    const acknowledged = await killAfter(path, 0, 1, 1);
    assert.ok(acknowledged.length >= 1);
    const denied = await run([`--allow-read=${path}`, `--allow-write=${path}`], path);
    assert.match(denied, /grant --allow-read for the folder `storage\/sqlite`/);
    const sources = new URL(".", import.meta.url).pathname;
    const unwritable = await run([`--allow-read=${path},${sources}`], path);
    assert.match(unwritable, /Requires write access/);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

/** What the writing process complains of under other permissions. */
async function run(permissions: string[], path: string): Promise<string> {
  const { stderr, success } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-prompt", "--cached-only", ...permissions, CHILD, path],
    env: { NO_COLOR: "1" },
  }).output();
  assert.equal(success, false);
  return new TextDecoder().decode(stderr);
}
