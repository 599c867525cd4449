/**
 * Links and working directories by the kernel's word.
 *
 * @module
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import { type Libc, libcPaths } from "../libc/libc.ts";
import { PeerFinder } from "../ipc/peer_credentials.ts";
import { bindSocket } from "../ipc/socket_file.ts";
import { Broker } from "./broker.ts";
import { libcFiles } from "./libc_files.ts";
import { resolvePath } from "./paths.ts";
import { runScript, stage, SYSTEM_CLOCK } from "./testing/agent_process.ts";
import { PolicyDecisions } from "./testing/policy_decisions.ts";

/** The library, without giving up the permission that other tests of this process need. */
function openForTest(): Libc {
  for (const path of libcPaths(Deno.build.os, Deno.build.arch)) {
    try {
      return Deno.dlopen(path, {
        getsockopt: { parameters: ["i32", "i32", "i32", "buffer", "buffer"], result: "i32" },
        getsockname: { parameters: ["i32", "buffer", "buffer"], result: "i32" },
        geteuid: { parameters: [], result: "u32" },
        prctl: { parameters: ["i32", "usize", "usize", "usize", "usize"], result: "i32" },
        capget: { parameters: ["buffer", "buffer"], result: "i32" },
        access: { parameters: ["buffer", "i32"], result: "i32" },
        readlink: { parameters: ["buffer", "buffer", "usize"], result: "isize" },
      }).symbols;
    } catch {
      // The next path.
    }
  }
  throw new Error("no C library");
}

Deno.test("links and working directories are read without a permission for their paths", async () => {
  const directory = await Deno.realPath(await Deno.makeTempDir());
  try {
    const files = libcFiles(openForTest());
    await Deno.symlink("näher/../ziel", join(directory, "link"));
    assert.deepEqual(files.look(join(directory, "link")), {
      kind: "link",
      target: "näher/../ziel",
    });
    assert.deepEqual(files.look(directory), { kind: "plain" });
    assert.deepEqual(files.look(join(directory, "absent")), { kind: "plain" });
    assert.equal(files.look(`/${"a".repeat(5_000)}`).kind, "unknown");
    assert.deepEqual(resolvePath(join(directory, "link"), files), {
      ok: true,
      path: join(directory, "ziel"),
    });
    assert.equal(files.workingDirectory(Deno.pid), Deno.cwd());
    assert.equal(files.workingDirectory(2 ** 22 + 1), undefined);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

Deno.test("with the kernel's word, children of an agent may use relative paths, from where they are", async () => {
  const libc = openForTest();
  const root = await Deno.realPath(await Deno.makeTempDir());
  const decisions = new PolicyDecisions(`filesystem: {read: {allow: [${root}]}}`);
  const bound = await bindSocket(join(root, "b.sock"), Deno.uid() ?? 0);
  const finder = new PeerFinder(libc, bound.bound_path);
  await using scene = await stage(decisions);
  const broker = new Broker(bound, {
    agent: { org_id: "", team_id: "", agent_id: "a1", credential_token: "", trace_id: "" },
    decisions,
    recordRepeats: () => Promise.resolve(),
    clock: SYSTEM_CLOCK,
    files: libcFiles(libc),
    temp_directory: "/tmp",
    protected_paths: [],
    peer: () => finder.newest(),
    uid: Deno.uid() ?? undefined,
  });
  try {
    await Deno.mkdir(join(root, "sub"));
    await Deno.writeTextFile(join(root, "sub", "x.txt"), "sub");
    const ended = await runScript(
      { ...scene, directory: root, socket: join(root, "b.sock") },
      `
      const child = (code, cwd) => {
        const { stdout, stderr } = new Deno.Command(Deno.execPath(), { args: ["eval", code], cwd }).outputSync();
        return new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
      };
      const read = "try { console.log(Deno.readTextFileSync('x.txt')) } catch (e) { console.log(e.message) }";
      Deno.chdir("sub");
      console.log(Deno.readTextFileSync("x.txt"));
      console.log(child(read, "."));
      console.log(child(read, "/etc"));
    `,
    );
    const lines = ended.stdout.split("\n").filter((line) =>
      line !== "" && !line.includes("Warning")
    );
    assert.deepEqual(lines.slice(0, 2), ["sub", "sub"], ended.stderr);
    assert.match(ended.stdout, /path not in filesystem allowlist; .*\/etc\/x\.txt/);
    assert.ok(
      decisions.evidence.every(({ origin }) => origin.source === "broker" && origin.pid > 1),
    );
  } finally {
    await broker.close();
    await Deno.remove(root, { recursive: true });
  }
});
