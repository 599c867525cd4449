/**
 * Unmodified Deno programs under `-A`, governed: what this layer is for.
 *
 * @module
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import { runScript, stage } from "./testing/agent_process.ts";
import { PolicyDecisions } from "./testing/policy_decisions.ts";

/** A policy of one workspace; `read` and `write` beyond it as given. */
function workspacePolicy(directory: string, more = ""): string {
  return `filesystem:
  read:
    allow: [${directory}]
  write:
    allow: [${directory}]
network:
  allowlist: [api.example]
${more}`;
}

/** `decisions` get their policy once the directory is known. */
async function workspace(more = "") {
  const decisions = new PolicyDecisions("{}");
  const staged = await stage(decisions);
  decisions.replace(workspacePolicy(staged.directory, more));
  return { decisions, staged };
}

Deno.test("an unmodified program under -A reads what policy allows; a forbidden file and host fail with the deciding rule", async () => {
  const { decisions, staged } = await workspace();
  await using scene = staged;
  await Deno.writeTextFile(join(scene.directory, "notes.txt"), "hello");
  const ended = await runScript(
    scene,
    `
    console.log(await Deno.readTextFile("notes.txt"));
    try { await Deno.readTextFile("/etc/passwd"); } catch (e) { console.log(e.name, e.message); }
    try { await fetch("https://evil.example/"); } catch (e) { console.log(e.name, e.message); }
  `,
  );
  assert.equal(ended.code, 0, ended.stderr);
  const [read, file, host] = ended.stdout.split("\n");
  assert.equal(read, "hello");
  assert.match(
    file ?? "",
    /^NotCapable denied by policy: path not in filesystem allowlist; rule p0\.yaml:2 filesystem\.read\.allow; to allow it: .*\/etc\/passwd/,
  );
  assert.match(
    host ?? "",
    /^NotCapable denied by policy: host not in network allowlist; rule p0\.yaml:\d+ network\.allowlist; to allow it: .*evil\.example/,
  );
  assert.ok(decisions.evidence.every((one) => one.origin.source === "broker"));
  assert.deepEqual(decisions.evidence.map((one) => one.decision), [1, 2, 2]);
});

Deno.test("a link out of the workspace is judged by where it leads, as is a link to a file that is not there yet", async () => {
  const { staged } = await workspace();
  await using scene = staged;
  await Deno.symlink("/etc/passwd", join(scene.directory, "innocent.txt"));
  await Deno.symlink("/etc", join(scene.directory, "folder"));
  await Deno.symlink("/etc/not-there-yet", join(scene.directory, "new.txt"));
  await Deno.symlink("agent.ts", join(scene.directory, "inside.txt"));
  const ended = await runScript(
    scene,
    `
    const attempt = (f) => { try { f(); return "done"; } catch (e) { return e.message.slice(0, 80); } };
    console.log(attempt(() => Deno.readTextFileSync("innocent.txt")));
    console.log(attempt(() => Deno.readTextFileSync("folder/passwd")));
    console.log(attempt(() => Deno.writeTextFileSync("new.txt", "x")));
    console.log(attempt(() => Deno.readTextFileSync("inside.txt")));
    console.log(attempt(() => Deno.symlinkSync("/etc/shadow", "mine.txt")));
  `,
  );
  assert.equal(ended.code, 0, ended.stderr);
  const refusal = /^denied by policy: path not in filesystem allowlist/;
  const [file, folder, dangling, inside, made] = ended.stdout.split("\n");
  for (const line of [file, folder, dangling, made]) assert.match(line ?? "", refusal);
  assert.equal(inside, "done");
});

Deno.test("a relative path is judged from every directory the program may be in", async () => {
  const decisions = new PolicyDecisions("{}");
  await using scene = await stage(decisions);
  decisions.replace(`filesystem: {read: {allow: [${scene.directory}, /etc/ssl]}}`);
  await Deno.mkdir(join(scene.directory, "sub"));
  await Deno.writeTextFile(join(scene.directory, "sub", "x.txt"), "sub");
  const ended = await runScript(
    scene,
    `
    const attempt = (f) => { try { return f() ?? "done"; } catch (e) { return e.message.slice(0, 90); } };
    console.log(attempt(() => Deno.chdir("sub")));
    console.log(attempt(() => Deno.readTextFileSync("x.txt")));
    console.log(attempt(() => Deno.readTextFileSync("../../run/broker.sock")));
    console.log(attempt(() => Deno.chdir("/etc/ssl")));
    console.log(attempt(() => Deno.readTextFileSync("../passwd")));
    console.log(attempt(() => Deno.chdir("/etc")));
  `,
  );
  assert.equal(ended.code, 0, ended.stderr);
  const lines = ended.stdout.split("\n");
  assert.deepEqual(lines.slice(0, 2), ["done", "sub"]);
  assert.match(lines[2] ?? "", /^denied by policy/);
  assert.equal(lines[3], "done");
  assert.match(lines[4] ?? "", /^denied by policy: path not in filesystem allowlist/);
  assert.match(lines[5] ?? "", /^denied by policy: path not in filesystem allowlist/);
});

Deno.test("npm packages, workers, programs and variables of an agent are decided, not only its own files", async () => {
  const { decisions, staged } = await workspace(`
tools:
  deno.env: {allow: false}
capabilities:
  deny: [terminal_exec]
`);
  await using scene = staged;
  await Deno.writeTextFile(
    join(scene.directory, "worker.ts"),
    `try { Deno.readTextFileSync("/etc/passwd"); postMessage("read"); }
     catch (e) { postMessage(e.message); }`,
  );
  const ended = await runScript(
    scene,
    `
    import { parse } from "npm:@std/yaml-is-not-this";
  `.replace("npm:@std/yaml-is-not-this", "npm:smol-toml@1.9.1") + `
    console.log(parse("a = 1").a);
    const worker = new Worker(new URL("./worker.ts", import.meta.url), { type: "module" });
    console.log(await new Promise((done) => worker.onmessage = (e) => done(e.data)));
    worker.terminate();
    try { new Deno.Command("true").outputSync(); } catch (e) { console.log(e.message); }
    try { Deno.env.get("HOME"); } catch (e) { console.log(e.message); }
  `,
  );
  assert.equal(ended.code, 0, ended.stderr);
  const [npm, worker, command, variable] = ended.stdout.split("\n");
  assert.equal(npm, "1");
  assert.match(worker ?? "", /path not in filesystem allowlist; rule p0\.yaml:/);
  assert.match(command ?? "", /capability denied by policy; rule p0\.yaml:\d+ capabilities\.deny/);
  assert.match(variable ?? "", /tool denied by policy; rule p0\.yaml:\d+ tools\.deno\.env\.allow/);
  const run = decisions.evidence.find((one) =>
    JSON.stringify(one.action) === '{"kind":"process_exec","command":"true"}'
  );
  assert.equal(run?.decision, 2, "the program is named, not only that one is started");
});

Deno.test("an allowed child is governed too: it inherits the broker, and its relative paths are refused", async () => {
  const { staged } = await workspace();
  await using scene = staged;
  const ended = await runScript(
    scene,
    `
    const child = (code) => {
      const { stdout, stderr } = new Deno.Command(Deno.execPath(), { args: ["eval", code] }).outputSync();
      return new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
    };
    console.log(child("try { Deno.readTextFileSync('/etc/passwd') } catch (e) { console.log(e.message) }"));
    console.log(child("try { Deno.readTextFileSync('agent.ts') } catch (e) { console.log(e.message) }"));
  `,
  );
  assert.match(ended.stdout, /path not in filesystem allowlist/);
  assert.match(ended.stdout, /working directory is not known/);
  assert.equal(scene.events.filter((one) => one.event === "connected").length, 3);
});

Deno.test("an answer is given again within an epoch, counted, and forgotten with it", async () => {
  const { decisions, staged } = await workspace();
  await using scene = staged;
  await Deno.writeTextFile(join(scene.directory, "a.txt"), "x");
  const source = `
    for (let i = 0; i < 50; i++) Deno.readTextFileSync("a.txt");
    let denied = 0;
    for (let i = 0; i < 50; i++) try { Deno.readTextFileSync("/etc/passwd") } catch { denied++ }
    console.log(denied);
    await Deno.stdin.read(new Uint8Array(1));
  `;
  const ended = await runScript(scene, source);
  assert.equal(ended.stdout, "50\n", ended.stderr);
  await scene.broker.close();
  const counted = scene.repeats.flatMap((one) => one.repeats);
  const of = (result: string) =>
    counted.filter((one) => one.result === result).reduce((sum, one) => sum + one.count, 0);
  const recorded = (decision: number) =>
    decisions.evidence.filter((one) => one.decision === decision).length;
  assert.equal(recorded(1), 1, "the first allow is on record by itself");
  assert.equal(of("allow"), 49, "the others as a count");
  assert.equal(recorded(2), 16, "denials are recorded one by one up to a bound");
  assert.equal(of("deny"), 34);
});

Deno.test("a policy that changes while the program runs holds from its next request", async () => {
  const { decisions, staged } = await workspace();
  await using scene = staged;
  await Deno.writeTextFile(join(scene.directory, "a.txt"), "x");
  let asked = 0;
  decisions.before = () => {
    if (++asked === 2) decisions.replace("filesystem: {read: {allow: []}}");
  };
  const ended = await runScript(
    scene,
    `
    console.log(Deno.readTextFileSync("a.txt"), Deno.readTextFileSync("a.txt"));
    try { Deno.readTextFileSync("b.txt") } catch (e) { console.log(e.message.slice(0, 50)) }
    try { Deno.readTextFileSync("a.txt") } catch (e) { console.log(e.message.slice(0, 50)) }
  `,
  );
  const denied = "denied by policy: path not in filesystem allowlist";
  assert.equal(ended.stdout, `x x\n${denied}\n${denied}\n`, ended.stderr);
});

Deno.test("an approval holds the asking process; another process of the agent goes on", async () => {
  const { decisions, staged } = await workspace(`
tools:
  deno.sys: {allow: true, requires_approval_if: 'args.kind == "hostname"'}
`);
  await using scene = staged;
  const person = Promise.withResolvers<void>();
  const waiting = Promise.withResolvers<void>();
  decisions.settle = async (_query, pending) => {
    waiting.resolve();
    await person.promise;
    return { ...pending, decision: 1 };
  };
  const held = runScript(scene, `console.log(Deno.hostname() !== "");`);
  await waiting.promise;
  const other = await runScript(
    scene,
    `console.log(Deno.loadavg().length);`,
    ["-A"],
    "other.ts",
  );
  assert.equal(other.stdout, "3\n", other.stderr);
  person.resolve();
  assert.equal((await held).stdout, "true\n");
});

Deno.test("without anyone to wait for, what needs a person's yes is refused by name", async () => {
  const { staged } = await workspace(`
tools:
  deno.sys: {allow: true, requires_approval_if: 'args.kind == "hostname"'}
`);
  await using scene = staged;
  const ended = await runScript(
    scene,
    `try { Deno.hostname() } catch (e) { console.log(e.message) }`,
  );
  assert.match(ended.stdout, /a person must agree first/);
});

Deno.test("the kernel's files and the runtime's own are refused under a policy that allows everything", async () => {
  await using scene = await stage(new PolicyDecisions("{}"));
  const socket = JSON.stringify(scene.socket);
  const ended = await runScript(
    scene,
    `
    for (const path of ["/proc/self/mem", "/proc/1/environ", "/dev/mem", "/sys/kernel", ${socket}]) {
      try { Deno.openSync(path); console.log("opened") } catch (e) { console.log(e.message) }
    }
    console.log(Deno.readFileSync("/dev/null").length);
  `,
  );
  const lines = ended.stdout.trim().split("\n");
  for (const line of lines.slice(0, 4)) assert.match(line, /belongs to the kernel/);
  assert.match(lines[4] ?? "", /belongs to the runtime/);
  assert.equal(lines[5], "0");
});

Deno.test("what looks like a secret closes a host, not a path, which goes nowhere; blocking closes both", async () => {
  const decisions = new PolicyDecisions("data: {sensitive_patterns: ['topsecret']}");
  await using scene = await stage(decisions);
  const script = `
    await Deno.writeTextFile(${
    JSON.stringify(join(scene.directory, "topsecret.txt"))
  }, "x").catch((e) => console.log(e.message));
    console.log("wrote");
    await fetch("https://topsecret.example/").catch((e) => console.log(e.message));
  `;
  const redacting = await runScript(scene, script);
  assert.match(redacting.stdout, /^wrote\n.*would have to be redacted/);
  decisions.replace("data: {sensitive_patterns: ['topsecret'], credential_action: block}");
  const blocking = await runScript(scene, script);
  assert.match(blocking.stdout, /^denied by policy: credential detected.*\nwrote\n/);
});
