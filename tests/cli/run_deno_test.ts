/**
 * `aasm run deno` as a person starts it: real gateway, real runtime, real Deno programs.
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import { Channel } from "../../grpc/mod.ts";
import { planLaunch } from "../../launch/main.ts";
import { registerAgent } from "../harness/agent.ts";
import { startGatewayProcess } from "../harness/gateway_process.ts";

const ROOT = new URL("../..", import.meta.url).pathname;

interface Aasm {
  readonly child: Deno.ChildProcess;
  /** Everything written to standard output so far. */
  readonly out: () => string;
  readonly ended: Promise<{ readonly code: number; readonly out: string; readonly err: string }>;
}

/** Starts `aasm` under exactly the launcher's permissions. */
function aasm(argv: readonly string[], cwd: string): Aasm {
  const launch = planLaunch("aasm", argv, cwd, () => undefined);
  const child = new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "--no-prompt",
      "--no-remote",
      "--quiet",
      `--config=${ROOT}deno.json`,
      ...launch.permissions,
      launch.entry.href,
      ...argv,
    ],
    cwd,
    env: { NO_COLOR: "1", DENO_NO_UPDATE_CHECK: "1" },
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  let out = "";
  let err = "";
  const reading = [
    (async () => {
      for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) out += text;
    })(),
    (async () => {
      for await (const text of child.stderr.pipeThrough(new TextDecoderStream())) err += text;
    })(),
  ];
  const ended = (async () => {
    const { code } = await child.status;
    await Promise.all(reading);
    return { code, out, err };
  })();
  return { child, out: () => out, ended };
}

async function eventually<T>(what: string, found: () => Promise<T | undefined> | T | undefined) {
  for (const from = Date.now(); Date.now() - from < 60_000;) {
    const value = await found();
    if (value !== undefined) return value;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error(`never happened: ${what}`);
}

/**
 * The process whose command line holds all of these words. By a program: Deno reads nothing below
 * `/proc` for anyone who was not given everything.
 */
async function processWith(...words: readonly string[]): Promise<number | undefined> {
  const { stdout } = await new Deno.Command("ps", { args: ["-ewwo", "pid=,args="] }).output();
  for (const line of new TextDecoder().decode(stdout).split("\n")) {
    if (words.every((word) => line.includes(word))) return Number.parseInt(line, 10);
  }
  return undefined;
}

async function inWorkspace(use: (directory: string) => Promise<void>): Promise<void> {
  const directory = await Deno.realPath(await Deno.makeTempDir({ prefix: "aasm-run-" }));
  try {
    await Deno.writeTextFile(
      join(directory, "policy.yaml"),
      `filesystem:
  read: {allow: [${directory}]}
  write: {allow: [${directory}/out]}
network:
  allowlist: [api.example]
tools:
  deno.sys: {allow: false}
`,
    );
    await use(directory);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

/** A test may run as root, whose runtime would refuse to start. */
const RUN = ["run", "deno", "--timeout", "60", "--allow-privileged"];

Deno.test("an unmodified script under -A: an allowed read works, a forbidden file and host fail with the deciding rule", async () => {
  await inWorkspace(async (directory) => {
    await Deno.writeTextFile(join(directory, "notes.txt"), "hello");
    await Deno.writeTextFile(
      join(directory, "agent.ts"),
      `
      console.log(Deno.readTextFileSync("notes.txt"), Deno.args.join(" "));
      // The runtime decides by itself, and knows what would help, once it has the policy.
      for (let i = 0; i < 500; i++) {
        try { Deno.readTextFileSync("/etc/passwd"); }
        catch (e) { if (e.message.includes("to allow it")) break; }
        await new Promise((done) => setTimeout(done, 20));
      }
      for (let i = 0; i < 30; i++) Deno.statSync("notes.txt");
      const attempt = async (f) => { try { await f(); console.log("done"); } catch (e) { console.log(e.name, e.message); } };
      await attempt(() => Deno.readTextFile("/etc/passwd"));
      await attempt(() => fetch("https://evil.example/"));
      await attempt(() => Deno.hostname());
      await attempt(() => Deno.readTextFile(".aasm/run/deno/gateway/operator.token"));
      console.log(Deno.env.get("AA_AGENT_ID"), Deno.env.get("AA_TEAM_ID"));
      console.log(await new Response(Deno.stdin.readable).text());
      Deno.exit(7);
    `,
    );
    const { child, ended } = aasm(
      [...RUN, "--policy", "policy.yaml", "--team", "t1", "--", "run", "-A", "agent.ts", "a", "b"],
      directory,
    );
    const input = child.stdin.getWriter();
    await input.write(new TextEncoder().encode("typed"));
    await input.close();
    const { code, out, err } = await ended;
    assert.equal(code, 7, err);
    const [read, file, host, system, token, variables, typed] = out.split("\n");
    assert.equal(read, "hello a b");
    const rule = (line: number, path: string) =>
      new RegExp(`rule .*policy\\.yaml:${line}(?::\\d+)? ${path.replaceAll(".", "\\.")}`);
    assert.match(file ?? "", /^NotCapable denied by policy: path not in filesystem allowlist;/);
    assert.match(file ?? "", rule(2, "filesystem.read.allow"));
    assert.match(file ?? "", /to allow it: .*`\/etc\/passwd`/);
    assert.match(host ?? "", /^NotCapable denied by policy: host not in network allowlist;/);
    assert.match(host ?? "", rule(4, "network.allowlist"));
    assert.match(system ?? "", /^NotCapable denied by policy: tool denied by policy;/);
    assert.match(token ?? "", /^NotCapable denied by policy: the path belongs to the runtime/);
    assert.match(variables ?? "", /^did:key:z6Mk\S+ t1$/, "registered with the run's own gateway");
    assert.equal(typed, "typed");
    const log = `${directory}/.aasm/run/deno/gateway/audit/gateway-default.jsonl`;
    const record = await Deno.readTextFile(log);
    assert.match(record, /deno\.broker\.repeats: \d+ × allow: read [^"]*notes\.txt/);
    assert.match(record, /path not in filesystem allowlist/);
  });
});

Deno.test("killing the runtime stops the agent", async () => {
  await inWorkspace(async (directory) => {
    await Deno.writeTextFile(
      join(directory, "agent.ts"),
      `console.log("up"); setInterval(() => {}, 1_000);`,
    );
    const run = aasm([...RUN, "--policy", "policy.yaml", "--", "-A", "agent.ts"], directory);
    await eventually("the agent is up", () => run.out().includes("up") || undefined);
    const broker = `--broker-socket=${directory}`;
    const runtime = await eventually(
      "the runtime's process",
      () => processWith("runtime/main.ts", "--allow-read", broker),
    );
    Deno.kill(runtime, "SIGKILL");
    const { code, err } = await run.ended;
    assert.equal(code, 1);
    assert.match(err, /the agent was stopped: the runtime ended/);
    await run.child.stdin.close();
  });
});

Deno.test("when the command is killed, its gateway and its runtime end, and the agent with its next act", async () => {
  await inWorkspace(async (directory) => {
    await Deno.writeTextFile(
      join(directory, "left_behind.ts"),
      `console.log("up"); setInterval(() => Deno.readTextFileSync("left_behind.ts"), 50);`,
    );
    const run = aasm([...RUN, "--policy", "policy.yaml", "--", "-A", "left_behind.ts"], directory);
    await eventually("the agent is up", () => run.out().includes("up") || undefined);
    const command = await eventually(
      "the command's process",
      () => processWith("cli/main.ts", directory),
    );
    Deno.kill(command, "SIGKILL");
    for (const program of ["gateway/main.ts", "runtime/main.ts"]) {
      await eventually(
        `${program} ends`,
        async () => (await processWith(program, directory)) === undefined || undefined,
      );
    }
    await eventually(
      "the agent ends",
      async () =>
        (await processWith("deny-read=/dev/null/aasm", "left_behind.ts")) === undefined ||
        undefined,
    );
    await run.ended;
    await run.child.stdin.close().catch(() => {});
  });
});

Deno.test("a signal reaches the agent, and its end is the run's", async () => {
  await inWorkspace(async (directory) => {
    await Deno.writeTextFile(
      join(directory, "agent.ts"),
      `Deno.addSignalListener("SIGTERM", () => { console.log("told"); Deno.exit(3); });
       console.log("up"); setInterval(() => {}, 1_000);`,
    );
    const run = aasm([...RUN, "--policy", "policy.yaml", "--", "agent.ts"], directory);
    await eventually("the agent is up", () => run.out().includes("up") || undefined);
    run.child.kill("SIGTERM");
    const { code, out } = await run.ended;
    assert.deepEqual([code, out], [3, "up\ntold\n"]);
    await run.child.stdin.close();
    assert.equal(await processWith("runtime/main.ts", directory), undefined, "nothing is left");
    assert.equal(await processWith("gateway/main.ts", directory), undefined, "nothing is left");
  });
});

Deno.test("an agent that goes on without its connection, or forges on it, is stopped", async () => {
  await inWorkspace(async (directory) => {
    const attacks = {
      "without its connection": `new net.Socket({ fd, readable: false }).destroy();`,
      "tampered with": `new net.Socket({ fd, readable: false }).write("forged\\n");`,
    };
    for (const [why, attack] of Object.entries(attacks)) {
      await Deno.writeTextFile(
        join(directory, "agent.ts"),
        `import net from "node:net";
         for (let fd = 3; fd < 64; fd++) try { ${attack} } catch {}
         for (;;) await new Promise((done) => setTimeout(done, 1_000));`,
      );
      const run = aasm([...RUN, "--policy", "policy.yaml", "--", "-A", "agent.ts"], directory);
      const { code, err } = await run.ended;
      assert.equal(code, 1, err);
      assert.match(err, new RegExp(`the agent was stopped: .*${why}`));
      await run.child.stdin.close();
    }
  });
});

Deno.test("nothing starts without a broker that answers, a policy that loads, or a program that asks", async () => {
  await inWorkspace(async (directory) => {
    await Deno.writeTextFile(join(directory, "agent.ts"), `console.log("ran");`);
    await Deno.writeTextFile(join(directory, "bad.yaml"), "nonsense: 1\n");
    const refused: [argv: string[], code: number, why: RegExp][] = [
      [["--broker", "none.sock", "--", "-A", "agent.ts"], 5, /does not answer, so nothing/],
      [["--policy", "bad.yaml", "--", "-A", "agent.ts"], 5, /the gateway ended .*nothing was/],
      [["--policy", "policy.yaml", "--", "task", "x"], 2, /`deno task` runs no program that asks/],
      [["--agent", "../x", "--policy", "policy.yaml", "--", "agent.ts"], 2, /part of file names/],
    ];
    for (const [argv, expected, why] of refused) {
      const run = aasm([...RUN, ...argv], directory);
      const { code, out, err } = await run.ended;
      assert.deepEqual([code, out], [expected, ""], err);
      assert.match(err, why);
      await run.child.stdin.close();
    }
  });
});

Deno.test("a registered agent of a gateway waits for a person's yes and goes on; another's no reaches its exception", async () => {
  await inWorkspace(async (directory) => {
    await Deno.writeTextFile(
      join(directory, "policy.yaml"),
      `tools:
  deno.sys: {allow: true, requires_approval_if: 'args.kind == "hostname"'}
`,
    );
    const gateway = await startGatewayProcess(
      ["--policy", "policy.yaml", "--socket", `${directory}/g.sock`, "--no-facts"],
      directory,
    );
    try {
      const channel = new Channel(`unix:${directory}/g.sock`);
      const { did, token } = await registerAgent(channel);
      await channel.close();
      await Deno.writeTextFile(join(directory, "token"), token, { mode: 0o600 });
      await Deno.writeTextFile(
        join(directory, "agent.ts"),
        `for (let i = 0; i < 2; i++) {
           try { console.log(Deno.hostname() !== ""); } catch (e) { console.log(e.message); }
         }`,
      );
      const at = ["--gateway", `unix:${directory}/g.sock`];
      const run = aasm(
        [...RUN, ...at, "--agent", did, "--agent-token-file", "token", "--", "-A", "agent.ts"],
        directory,
      );
      for (const words of [["approve", "--yes"], ["reject"]]) {
        const waiting = await eventually("an approval waits", async () => {
          const listed = aasm(
            [...at, "--output", "json", "approvals", "list", "--status", "pending"],
            directory,
          );
          const { code, out, err } = await listed.ended;
          await listed.child.stdin.close();
          assert.equal(code, 0, err);
          return /"(?:approval_id|id|request_id)": "([^"]+)"/.exec(out)?.[1];
        });
        const decide = aasm(
          [...at, "approvals", ...words, waiting, "--reason", "a test"],
          directory,
        );
        const { code, err } = await decide.ended;
        await decide.child.stdin.close();
        assert.equal(code, 0, err);
      }
      const { out, err } = await run.ended;
      await run.child.stdin.close();
      const [yes, no] = out.split("\n");
      assert.equal(yes, "true", err);
      assert.match(no ?? "", /^denied by policy: /);
    } finally {
      await gateway.stop();
    }
  });
});
