/**
 * What happens when the broker is away, when a peer is hostile, and at each bound.
 *
 * @module
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import type { BrokerEvent } from "./broker.ts";
import { BROKER_LIMITS } from "./limits.ts";
import { runScript, spawnDeno, stage } from "./testing/agent_process.ts";
import { PolicyDecisions } from "./testing/policy_decisions.ts";

const SERVE = new URL("./testing/serve.ts", import.meta.url).pathname;

/** Polls until `found` says something. */
async function eventually<T>(what: string, found: () => T | undefined): Promise<T> {
  for (const start = Date.now(); Date.now() - start < 30_000;) {
    const value = found();
    if (value !== undefined) return value;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  throw new Error(`never happened: ${what}`);
}

function endOf(events: readonly BrokerEvent[]): (BrokerEvent & { event: "ended" }) | undefined {
  return events.find((one) => one.event === "ended");
}

Deno.test("killing the runtime stops the agent at its next request", async () => {
  const root = await Deno.realPath(await Deno.makeTempDir());
  const socket = join(root, "run", "broker.sock");
  const runtime = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--quiet", SERVE, socket, root],
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  try {
    const policy = runtime.stdin.getWriter();
    await policy.write(new TextEncoder().encode("{}"));
    await policy.close();
    const ready = runtime.stdout.getReader();
    await ready.read();
    await Deno.writeTextFile(
      join(root, "agent.ts"),
      `
      console.log(Deno.statSync("/").isDirectory);
      await Deno.stdin.read(new Uint8Array(1));
      try { Deno.statSync("/"); console.log("still governed?"); } catch (e) { console.log(e.message); }
      console.log("went on");
    `,
    );
    const agent = spawnDeno(socket, root, ["run", "-A", "--quiet", "--no-lock", "agent.ts"]);
    const output = agent.stdout.getReader();
    const first = await output.read();
    assert.equal(new TextDecoder().decode(first.value), "true\n");
    runtime.kill("SIGKILL");
    await runtime.status;
    const writer = agent.stdin.getWriter();
    await writer.write(new Uint8Array([10]));
    await writer.close();
    const { code } = await agent.status;
    assert.equal(code, 87, "Deno's own exit code for a broker that is gone");
    assert.equal((await output.read()).value, undefined, "nothing ran after the request");
    await agent.stderr.cancel();
    await output.cancel();
    await ready.cancel();

    const again = spawnDeno(socket, root, ["run", "-A", "--quiet", "--no-lock", "agent.ts"]);
    await again.stdin.close();
    const { code: refused, stdout } = await again.output();
    assert.deepEqual([refused, stdout.length], [87, 0], "and no agent starts");
  } finally {
    try {
      runtime.kill("SIGKILL");
    } catch {
      // Ended above.
    }
    await Deno.remove(root, { recursive: true });
  }
});

Deno.test("a broker that closes stops its agents", async () => {
  await using scene = await stage(new PolicyDecisions("{}"));
  await Deno.writeTextFile(
    join(scene.directory, "agent.ts"),
    `Deno.statSync("/"); console.log("up"); await Deno.stdin.read(new Uint8Array(1)); Deno.statSync("/"); console.log("on");`,
  );
  const agent = spawnDeno(scene.socket, scene.directory, [
    "run",
    "-A",
    "--quiet",
    "--no-lock",
    "agent.ts",
  ]);
  await eventually("a connection", () => scene.events.at(0));
  const output = agent.stdout.getReader();
  await output.read();
  await scene.broker.close();
  await agent.stdin.close();
  assert.equal((await agent.status).code, 87);
  assert.equal((await output.read()).value, undefined);
  await output.cancel();
  await agent.stderr.cancel();
});

/** A peer that is not Deno. */
async function speak(socket: string, text: string): Promise<string> {
  using connection = await Deno.connect({ transport: "unix", path: socket });
  const answers: string[] = [];
  const reading = (async () => {
    const into = new Uint8Array(65_536);
    for (;;) {
      const read = await connection.read(into).catch(() => null);
      if (read === null) return;
      answers.push(new TextDecoder().decode(into.subarray(0, read)));
    }
  })();
  let rest = new TextEncoder().encode(text);
  while (rest.length > 0) {
    const written = await connection.write(rest).catch(() => 0);
    if (written === 0) break;
    rest = rest.subarray(written);
  }
  await reading;
  return answers.join("");
}

function line(difference: Record<string, unknown> = {}): string {
  const request = { v: 1, pid: 1, id: 1, permission: "read", value: "/" };
  return `${JSON.stringify({ ...request, ...difference })}\n`;
}

Deno.test("what is not Deno's protocol ends its connection, unanswered and by name", async () => {
  const hostile: Readonly<Record<string, string>> = {
    "a line is not JSON": "garbage\n",
    "a line is not an object": "7\n",
    "protocol version 1 was expected": line({ v: 2 }),
    "`id` is not a 32-bit number from 1": line({ id: 2 ** 32 }),
    "`pid` is not a process id": line({ pid: "1" }),
    "`permission` is of a kind this broker does not know": line({ permission: "all" }),
    "`value` is neither text nor null": line({ value: ["/"] }),
    "request ids do not ascend by one": line({ id: 2 }),
    "a request is too long": "x".repeat(BROKER_LIMITS.request_bytes + 1),
  };
  for (const [why, text] of Object.entries(hostile)) {
    await using scene = await stage(new PolicyDecisions("{}"));
    assert.equal(await speak(scene.socket, text), "", why);
    const ended = await eventually(why, () => endOf(scene.events));
    assert.deepEqual(ended.end, { kind: "violation", why });
  }
});

Deno.test("a second request before the answer ends the connection: Deno never sends one", async () => {
  const decisions = new PolicyDecisions("{}");
  const never = Promise.withResolvers<void>();
  decisions.before = () => never.promise;
  await using scene = await stage(decisions);
  assert.equal(await speak(scene.socket, line() + line({ id: 2 })), "");
  const ended = await eventually("the end", () => endOf(scene.events));
  assert.deepEqual(ended.end, {
    kind: "violation",
    why: "a request came before the last one was answered",
  });
  never.resolve();
});

Deno.test("a program that forges a request on Deno's own connection loses it at Deno's next one", async () => {
  const decisions = new PolicyDecisions("{}");
  await using scene = await stage(decisions);
  decisions.replace(`filesystem: {read: {allow: [${scene.directory}]}}`);
  const ended = await runScript(
    scene,
    `
    import net from "node:net";
    try { Deno.readTextFileSync("/etc/passwd") } catch {}
    for (let fd = 3; fd < 32; fd++) {
      let socket;
      try { socket = new net.Socket({ fd, readable: false }); } catch { continue; }
      socket.on("error", () => {});
      socket.write(JSON.stringify({ v: 1, pid: Deno.pid, id: 2, permission: "read",
        value: ${JSON.stringify(scene.directory)} }) + "\\n");
    }
    await new Promise((done) => setTimeout(done, 300));
    try { Deno.readTextFileSync("/etc/hostname") } catch {}
    await new Promise((done) => setTimeout(done, 300));
    Deno.statSync("agent.ts");
    console.log("went on");
  `,
  );
  assert.equal(ended.code, 87, ended.stderr);
  assert.ok(!ended.stdout.includes("went on"));
  const end = endOf(scene.events);
  assert.deepEqual(end?.end, { kind: "violation", why: "request ids do not ascend by one" });
});

Deno.test("connections over the bound are turned away; those within it go on", async () => {
  await using scene = await stage(new PolicyDecisions("{}"));
  const open: Deno.UnixConn[] = [];
  try {
    for (let at = 0; at < BROKER_LIMITS.connections; at++) {
      open.push(await Deno.connect({ transport: "unix", path: scene.socket }));
    }
    await eventually("all are in", () => scene.broker.connections === open.length || undefined);
    assert.equal(await speak(scene.socket, line()), "");
    await eventually(
      "one is turned away",
      () => scene.events.find((one) => one.event === "turned_away"),
    );
    const [first] = open;
    await first?.write(new TextEncoder().encode(line()));
    const into = new Uint8Array(100);
    const read = await first?.read(into) ?? 0;
    assert.equal(new TextDecoder().decode(into.subarray(0, read)), '{"id":1,"result":"allow"}\n');
  } finally {
    for (const one of open) one.close();
  }
});

Deno.test("while repeats cannot be put on record, every request is decided and recorded anew", async () => {
  const decisions = new PolicyDecisions("{}");
  await using scene = await stage(decisions, {
    recordRepeats: () => Promise.reject(new Error("disk full")),
  });
  const ended = await runScript(
    scene,
    `
    try { Deno.connect({ transport: "vsock", cid: 1, port: 1 }) } catch {}
    for (let i = 0; i < 20; i++) Deno.statSync("/");
    console.log("done");
  `,
    ["-A", "--unstable-vsock"],
  );
  assert.equal(ended.stdout, "done\n", ended.stderr);
  assert.equal(decisions.evidence.length, 20);
});

Deno.test("while the gateway is away nothing is kept", async () => {
  const decisions = new PolicyDecisions("{}");
  decisions.lose();
  await using scene = await stage(decisions);
  const ended = await runScript(scene, `for (let i = 0; i < 20; i++) Deno.statSync("/");`);
  assert.equal(ended.code, 0, ended.stderr);
  assert.equal(decisions.evidence.length, 20);
  assert.equal(scene.broker.cached, 0);
});

Deno.test("a decisions room that throws is a denial with a name", async () => {
  const decisions = new PolicyDecisions("{}");
  decisions.before = () => {
    throw new Error("secret detail");
  };
  await using scene = await stage(decisions);
  const ended = await runScript(
    scene,
    `try { Deno.statSync("/") } catch (e) { console.log(e.message) }`,
  );
  assert.equal(ended.stdout, "denied by policy: the permission broker failed while judging\n");
});

Deno.test("the socket is this user's alone, and goes with the broker", async () => {
  await using scene = await stage(new PolicyDecisions("{}"));
  const mode = (await Deno.stat(scene.socket)).mode ?? 0;
  assert.equal(mode & 0o777, 0o600);
  await scene.broker.close();
  await assert.rejects(Deno.stat(scene.socket), Deno.errors.NotFound);
});

Deno.test("a connection whose peer the kernel does not tell, or of another user, is turned away", async () => {
  for (const peer of [() => undefined, () => ({ uid: 4_242, pid: 1 })]) {
    await using scene = await stage(new PolicyDecisions("{}"), { peer });
    assert.equal(await speak(scene.socket, line()), "");
    const { event } = await eventually("an event", () => scene.events.at(0));
    assert.equal(event, "turned_away");
  }
});
