/**
 * Each program is started for real, under exactly the permissions the launcher grants, with a
 * preloaded probe that tries from inside the same process what the program must not be able to do.
 */
import assert from "node:assert/strict";
import { transportWorkerPermissions } from "../../gateway/permissions.ts";
import { planLaunch } from "../../launch/main.ts";
import { RUNTIME_VARIABLES } from "../../runtime/environment.ts";

const ROOT = new URL("../..", import.meta.url).pathname;

/** Acts that no program of the suite may perform. `ok` means it got through. */
const PROBE = (foreign_file: string, foreign_port: number) => `
const attempts = {
  "read /etc/passwd": () => Deno.readTextFileSync("/etc/passwd"),
  "read another program's state": () => Deno.readTextFileSync(${JSON.stringify(foreign_file)}),
  "write outside its state": () => Deno.writeTextFileSync(${JSON.stringify(foreign_file)}, "x"),
  "open a foreign socket": () => Deno.connect({ hostname: "127.0.0.1", port: ${foreign_port} }),
  "listen on a foreign port": () => Deno.listen({ hostname: "127.0.0.1", port: ${
  foreign_port + 1
} }),
  "resolve a name": () => Deno.resolveDns("localhost", "A"),
  "spawn": () => new Deno.Command("/bin/true").outputSync(),
  "spawn a shell": () => new Deno.Command("/bin/sh", { args: ["-c", "true"] }).outputSync(),
  "read the environment": () => Deno.env.get("HOME"),
  "list the environment": () => Deno.env.toObject(),
  "load a library": () => Deno.dlopen("libc.so.6", { getpid: { parameters: [], result: "i32" } }),
  "read system information": () => Deno.hostname(),
};
const got = {};
for (const [name, attempt] of Object.entries(attempts)) {
  try { await attempt(); got[name] = "ok"; }
  catch (error) { got[name] = error instanceof Deno.errors.NotCapable ? "refused" : "error: " + error; }
}
console.error("PROBE " + JSON.stringify(got));
`;

interface Probed {
  readonly acts: Record<string, string>;
  readonly stderr: string;
}

async function probe(
  program: string,
  argv: readonly string[],
  directory: string,
  until: RegExp,
): Promise<Probed> {
  const foreign = `${directory}/foreign.txt`;
  await Deno.writeTextFile(foreign, "another program's state");
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const probe_file = `${directory}/probe.ts`;
  await Deno.writeTextFile(probe_file, PROBE(foreign, listener.addr.port));
  const launch = planLaunch(program, argv, directory, () => undefined);
  const child = new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "--no-prompt",
      "--quiet",
      ...launch.runtime,
      ...launch.permissions,
      `--config=${ROOT}deno.json`,
      `--preload=${probe_file}`,
      launch.entry.href,
      ...launch.argv.filter((word) => word !== "--stop-on-stdin-end"),
    ],
    cwd: directory,
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).spawn();
  let stderr = "";
  const reader = child.stderr.pipeThrough(new TextDecoderStream()).getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    stderr += value;
    if (until.test(stderr)) break;
  }
  try {
    child.kill("SIGTERM");
  } catch {
    // A program that only answers and exits is already gone.
  }
  reader.cancel().catch(() => {});
  await child.status;
  const line = /PROBE (.*)/.exec(stderr)?.[1];
  assert.ok(line, `the probe did not run:\n${stderr}`);
  return { acts: JSON.parse(line), stderr };
}

async function inTemporaryDirectory(use: (directory: string) => Promise<void>): Promise<void> {
  const directory = await Deno.makeTempDir({ prefix: "aasm-permissions-" });
  try {
    await use(directory);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

function assertAllRefused(probed: Probed): void {
  const through = Object.entries(probed.acts).filter(([, result]) => result !== "refused");
  assert.deepEqual(through, [], probed.stderr);
}

Deno.test("the running gateway can read, write, connect, spawn and look up nothing beyond its flags", async () => {
  await inTemporaryDirectory(async (directory) => {
    await Deno.writeTextFile(`${directory}/policy.yaml`, "version: '1'\n");
    const probed = await probe(
      "gateway",
      ["--policy", "policy.yaml", "--listen", "127.0.0.1:0", "--state-dir", "state"],
      directory,
      /^(ready|error:.*)$/m,
    );
    assertAllRefused(probed);
    assert.match(probed.stderr, /^ready$/m, "the gateway itself starts under these permissions");
  });
});

Deno.test("a gateway that gets its secrets key from a program may run that one, and starts with it", async () => {
  await inTemporaryDirectory(async (directory) => {
    await Deno.writeTextFile(`${directory}/policy.yaml`, "version: '1'\n");
    const program = `${directory}/key`;
    await Deno.writeTextFile(program, `#!/bin/sh\necho ${"e4".repeat(32)}\n`);
    await Deno.chmod(program, 0o700);
    const probed = await probe(
      "gateway",
      [
        ...["--policy", "policy.yaml", "--listen", "127.0.0.1:0", "--state-dir", "state"],
        ...["--secrets-key-command", program],
      ],
      directory,
      /^(ready|error:.*)$/m,
    );
    assertAllRefused(probed);
    assert.match(probed.stderr, /^ready$/m, "the gateway itself starts under these permissions");
  });
});

Deno.test("a gateway with transport workers is refused the same, and serves", async () => {
  await inTemporaryDirectory(async (directory) => {
    await Deno.writeTextFile(`${directory}/policy.yaml`, "version: '1'\n");
    const probed = await probe(
      "gateway",
      [
        ...["--policy", "policy.yaml", "--listen", "127.0.0.1:0", "--state-dir", "state"],
        ...["--transport-workers", "1"],
      ],
      directory,
      /^(ready|error:.*)$/m,
    );
    assertAllRefused(probed);
    assert.match(probed.stderr, /^ready$/m, "the gateway itself starts under these permissions");
  });
});

/** What a transport worker may not do, tried from inside one. */
const WORKER_PROBE = (state: string, source: string, foreign_port: number) => `
const attempts = {
  "read the state": () => Deno.readTextFileSync(${JSON.stringify(`${state}/operator.token`)}),
  "list the state": () => [...Deno.readDirSync(${JSON.stringify(state)})],
  "write into the state": () => Deno.writeTextFileSync(${JSON.stringify(`${state}/x`)}, "x"),
  "remove the state": () => Deno.removeSync(${JSON.stringify(state)}, { recursive: true }),
  "read source": () => Deno.readTextFileSync(${JSON.stringify(source)}),
  "read /etc/passwd": () => Deno.readTextFileSync("/etc/passwd"),
  "open a foreign socket": () => Deno.connect({ hostname: "127.0.0.1", port: ${foreign_port} }),
  "listen on a foreign port": () => Deno.listen({ hostname: "127.0.0.1", port: ${foreign_port} }),
  "spawn": () => new Deno.Command("/bin/true").outputSync(),
  "read the environment": () => Deno.env.get("HOME"),
  "load a library": () => Deno.dlopen("libc.so.6", { getpid: { parameters: [], result: "i32" } }),
  "read system information": () => Deno.hostname(),
};
const got = {};
for (const [name, attempt] of Object.entries(attempts)) {
  try { await attempt(); got[name] = "ok"; }
  catch (error) { got[name] = error instanceof Deno.errors.NotCapable ? "refused" : "error: " + error; }
}
Deno.listen({ hostname: "127.0.0.1", port: 0 }).close();
self.postMessage(got);
`;

Deno.test("a transport worker may listen, and read no state, no source, nothing", async () => {
  await inTemporaryDirectory(async (state) => {
    await Deno.writeTextFile(`${state}/operator.token`, "a secret");
    using foreign = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const source = WORKER_PROBE(state, `${ROOT}gateway/main.ts`, foreign.addr.port);
    const worker = new Worker(`data:application/javascript,${encodeURIComponent(source)}`, {
      type: "module",
      deno: { permissions: transportWorkerPermissions("127.0.0.1:0") },
    });
    try {
      const acts = await new Promise<Record<string, string>>((resolve, reject) => {
        worker.onmessage = ({ data }) => resolve(data);
        worker.onerror = (event) => {
          event.preventDefault();
          reject(new Error(event.message));
        };
      });
      assertAllRefused({ acts, stderr: "" });
    } finally {
      worker.terminate();
    }
  });
});

Deno.test("the running runtime can read, write, connect, spawn, load and look up nothing beyond its flags", async () => {
  await inTemporaryDirectory(async (directory) => {
    const probed = await probe(
      "runtime",
      [
        ...["--agent-id", "a1", "--socket", "a1.sock", "--state-dir", "state"],
        ...["--metrics-listen", "127.0.0.1:0", "--no-local-policy", "--allow-privileged"],
      ],
      directory,
      /"message":"ready"|^error:.*$/m,
    );
    assertAllRefused(probed);
    assert.match(probed.stderr, /"message":"ready"/, "it starts under these permissions");
  });
});

Deno.test("aasm can read, write, connect, spawn and look up nothing beyond what its arguments name", async () => {
  await inTemporaryDirectory(async (directory) => {
    for (const argv of [["version"], ["policy", "schema"], ["status", "--timeout", "1"]]) {
      assertAllRefused(await probe("aasm", argv, directory, /\0never/));
    }
  });
});

Deno.test("the launcher itself may start this one binary and nothing else", async () => {
  const tasks = JSON.parse(await Deno.readTextFile(`${ROOT}deno.json`)).tasks;
  for (const name of ["gateway", "runtime", "aasm"]) {
    const grants: string[] = tasks[name].command.match(/--allow-\S+/g);
    for (const grant of grants) {
      assert.match(grant, /^--allow-(run=\$\(deno|env=AA_)/, `task ${name}: ${grant}`);
    }
  }
  assert.ok(
    tasks.runtime.command.includes(`--allow-env=${RUNTIME_VARIABLES.join(",")} `),
    "task runtime reads exactly the variables that stand for flags",
  );
});
