import assert from "node:assert/strict";
import { bindSocket, directoryAdvice, stagingDirectory } from "./socket_file.ts";

const OWN_UID = Deno.uid() ?? -1;

async function inDirectory(test: (directory: string) => Promise<void> | void): Promise<void> {
  const directory = await Deno.makeTempDir();
  try {
    await test(directory);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

/** Closing removes the name it was bound to; a second one stays, as after a `kill -9`. */
function leaveStale(path: string): void {
  const listener = Deno.listen({ transport: "unix", path: `${path}.x` });
  Deno.linkSync(`${path}.x`, path);
  listener.close();
}

Deno.test("trap R16: a socket is ours alone from its first instant, and gone when it is closed", async () => {
  await inDirectory(async (directory) => {
    const path = `${directory}/a.sock`;
    const modes: number[] = [];
    const watched = Deno.listen;
    // The moment between bind and chmod is where a umask would have mattered.
    Deno.listen = ((options: Deno.UnixListenOptions & { transport: "unix" }) => {
      const listener = watched(options);
      modes.push((Deno.lstatSync(stagingDirectory(path)).mode ?? 0) & 0o777);
      assert.throws(() => Deno.lstatSync(path), Deno.errors.NotFound, "not yet in its place");
      return listener;
    }) as typeof Deno.listen;
    try {
      const file = await bindSocket(path, OWN_UID);
      assert.deepEqual(modes, [0o700]);
      assert.equal((Deno.lstatSync(path).mode ?? 0) & 0o777, 0o600);
      assert.ok(file.inPlace());
      assert.deepEqual([...Deno.readDirSync(directory)].map((entry) => entry.name), ["a.sock"]);
      file.close();
      file.close();
      assert.deepEqual([...Deno.readDirSync(directory)], []);
    } finally {
      Deno.listen = watched;
    }
  });
});

Deno.test("a directory that is not there is told, with the command that makes it", async () => {
  await inDirectory(async (directory) => {
    await assert.rejects(
      bindSocket(`${directory}/run/a.sock`, OWN_UID),
      new RegExp(`is not there: make it with .mkdir -m 700 -p ${directory}/run`),
    );
  });
});

Deno.test("a stale socket is removed; one that lives is not taken", async () => {
  await inDirectory(async (directory) => {
    const path = `${directory}/a.sock`;
    leaveStale(path);
    assert.ok(Deno.lstatSync(path).isSocket, "left behind by a runtime that died");
    const file = await bindSocket(path, OWN_UID);
    const accepted = file.listener.accept();
    await assert.rejects(bindSocket(path, OWN_UID), /another runtime of this agent answers/);
    (await accepted).close();
    assert.ok(file.inPlace(), "the living one keeps its place");
    file.close();
  });
});

Deno.test("a file of another user, or one that is no socket, is never removed", async () => {
  await inDirectory(async (directory) => {
    const path = `${directory}/a.sock`;
    leaveStale(path);
    await assert.rejects(bindSocket(path, OWN_UID + 1), /belongs to user \d+, not to/);
    assert.ok(Deno.lstatSync(path).isSocket);
    Deno.removeSync(path);
    Deno.writeTextFileSync(path, "precious");
    await assert.rejects(bindSocket(path, OWN_UID), /is not a socket/);
    assert.equal(Deno.readTextFileSync(path), "precious");
    Deno.removeSync(path);
    Deno.symlinkSync("/etc/passwd", path);
    await assert.rejects(bindSocket(path, OWN_UID), /is not a socket/);
  });
});

Deno.test("what a runtime left while it was binding is no obstacle; a stranger's directory is one", async () => {
  await inDirectory(async (directory) => {
    const path = `${directory}/a.sock`;
    Deno.mkdirSync(stagingDirectory(path), { mode: 0o700 });
    leaveStale(`${stagingDirectory(path)}/s`);
    (await bindSocket(path, OWN_UID)).close();
    Deno.writeTextFileSync(stagingDirectory(path), "");
    await assert.rejects(bindSocket(path, OWN_UID), /is in the way and not ours/);
  });
});

Deno.test("a socket whose path was taken away knows it, and leaves the other's file alone", async () => {
  await inDirectory(async (directory) => {
    const path = `${directory}/a.sock`;
    const first = await bindSocket(path, OWN_UID);
    Deno.removeSync(path);
    const second = await bindSocket(path, OWN_UID);
    assert.equal(first.inPlace(), false);
    first.close();
    assert.ok(second.inPlace());
    second.close();
  });
});

Deno.test("a path the kernel would cut is refused by name", async () => {
  await assert.rejects(
    bindSocket(`/tmp/${"a".repeat(120)}.sock`, OWN_UID),
    /is longer than 100 bytes/,
  );
});

Deno.test("trap R16: a directory that others may write to is advised against", async () => {
  await inDirectory((directory) => {
    Deno.chmodSync(directory, 0o700);
    assert.equal(directoryAdvice(`${directory}/a.sock`, OWN_UID), undefined);
    Deno.chmodSync(directory, 0o777);
    assert.match(directoryAdvice(`${directory}/a.sock`, OWN_UID) ?? "", /could take the socket's/);
    Deno.chmodSync(directory, 0o755);
    assert.match(directoryAdvice(`${directory}/a.sock`, OWN_UID) ?? "", /may look into/);
    assert.match(directoryAdvice("/tmp/a.sock", OWN_UID) ?? "", /could take the socket's/);
  });
});
