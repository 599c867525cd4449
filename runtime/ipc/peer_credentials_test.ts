import assert from "node:assert/strict";
import { openLibc } from "../libc/libc.ts";
import { libcPaths } from "../libc/paths.ts";
import { allowed, allowing, queryFrame, RawClient, startSocket, until } from "./ipc_fixture.ts";
import { PeerFinder, peerMaySpeak } from "./peer_credentials.ts";

const LINUX = Deno.build.os === "linux";
const ROOT = Deno.uid() === 0;
/** Users that own nothing here. */
const RUNTIME_UID = 12_345;
const OTHER_UID = 12_346;

const PATHS = libcPaths(Deno.build.os, Deno.build.arch);
/** Opened once: opening gives the permission up. */
const LIBC = LINUX ? await openLibc(PATHS) : undefined;

Deno.test("only the runtime's own user may speak; root is refused by a runtime that is not root", () => {
  const peer = (uid: number) => ({ uid, gid: 0, pid: 1 });
  assert.equal(peerMaySpeak(peer(1_000), 1_000), true);
  assert.equal(peerMaySpeak(peer(0), 1_000), false);
  assert.equal(peerMaySpeak(peer(1_000), 0), false);
  assert.equal(peerMaySpeak(peer(0), 0), true);
});

Deno.test({
  name: "the kernel names every client's process and user, however many come at once",
  ignore: !LINUX,
  fn: async () => {
    const pids: (number | undefined)[] = [];
    await using socket = await startSocket({
      decisions: allowing((query, origin) => {
        if (origin.source === "sdk") pids.push(origin.connection.peer?.pid);
        return Promise.resolve(allowed(query.traceId));
      }),
      peer_check: (file) => {
        assert.ok(LIBC?.ok, LIBC?.ok === false ? LIBC.reason : "");
        const finder = new PeerFinder(LIBC.libc, file.bound_path);
        return { kind: "kernel", own_uid: Deno.uid() ?? -1, newest: () => finder.newest() };
      },
    });
    for (let wave = 0; wave < 4; wave++) {
      const clients = await Promise.all(
        Array.from({ length: 16 }, () => RawClient.join(socket.path)),
      );
      for (const client of clients) {
        await client.send(queryFrame("q"));
        await client.answer();
        client.close();
      }
      await until(() => socket.server.connections === 0, "the wave is over");
    }
    assert.deepEqual(pids, Array<number>(64).fill(Deno.pid));
  },
});

Deno.test({
  name: "a connection that the kernel cannot tell for certain is refused",
  ignore: !LINUX,
  fn: async () => {
    await using socket = await startSocket({
      peer_check: () => ({ kind: "kernel", own_uid: 0, newest: () => undefined }),
    });
    using client = await RawClient.connect(socket.path);
    assert.equal(await client.next(), undefined, "closed without a byte");
    assert.equal(socket.metrics.counts.get("aa_ipc_connections_refused_total{peer_unknown}"), 1);
  },
});

/** Starts a deno process as another user, with the packages it needs in a cache it can read. */
async function asUser(uid: number, home: string, args: string[]): Promise<Deno.ChildProcess> {
  return await Promise.resolve(
    new Deno.Command("setpriv", {
      args: [`--reuid=${uid}`, `--regid=${uid}`, "--clear-groups", Deno.execPath(), ...args],
      clearEnv: true,
      env: { DENO_DIR: `${home}/${uid}`, HOME: home, PATH: "/usr/bin:/bin" },
      stdin: "piped",
      stdout: "piped",
      stderr: "inherit",
    }).spawn(),
  );
}

async function* linesOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  let rest = "";
  for await (const text of stream.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + text).split("\n");
    rest = lines.pop() ?? "";
    yield* lines;
  }
}

const CONNECT = (path: string) =>
  `const c = await Deno.connect({ transport: "unix", path: ${JSON.stringify(path)} });` +
  "await c.read(new Uint8Array(1)); c.close();";

Deno.test({
  name: "a runtime of one user admits that user, and neither another nor root",
  ignore: !LINUX || !ROOT,
  fn: async () => {
    const home = await Deno.makeTempDir();
    await Deno.chmod(home, 0o777);
    const path = `${home}/a.sock`;
    const entry = new URL("./peer_runtime_fixture.ts", import.meta.url).pathname;
    const own = `${path},${path}.new`;
    const runtime = await asUser(RUNTIME_UID, home, [
      "run",
      "--no-prompt",
      "--no-config",
      "--no-lock",
      `--allow-ffi=${PATHS.join(",")}`,
      `--allow-net=unix:${path},unix:${path}.new/s`,
      `--allow-read=${own}`,
      `--allow-write=${own}`,
      entry,
      path,
    ]);
    try {
      const lines = linesOf(runtime.stdout);
      const line = async () => JSON.parse((await lines.next()).value ?? "{}");
      assert.deepEqual(await line(), {
        own_uid: RUNTIME_UID,
        reloadable: false,
        privileges: "unprivileged",
      });
      // As if somebody had opened the file to everyone: the kernel's word still stands.
      await Deno.chmod(path, 0o777);
      for (
        const [uid, admitted] of [[RUNTIME_UID, true], [OTHER_UID, false], [0, false]] as const
      ) {
        const client = await asUser(uid, home, ["eval", "--no-config", CONNECT(path)]);
        await client.stdin.close();
        const seen = await line();
        assert.deepEqual([seen.peer.uid, seen.admitted], [uid, admitted]);
        await client.output();
      }
    } finally {
      await runtime.stdin.close();
      await runtime.stdout.cancel().catch(() => {});
      await runtime.status;
      await Deno.remove(home, { recursive: true });
    }
  },
});
