/**
 * The reference's own Python SDK (package `agent-assembly`, native core, real LangChain tools)
 * against our gateway and our runtime's socket.
 */
import assert from "node:assert/strict";
import { startGatewayProcess } from "../../harness/gateway_process.ts";
import { startRuntimeProcess } from "../../harness/runtime_process.ts";

const HERE = new URL(".", import.meta.url).pathname;
const NAME =
  "the reference's Python SDK registers, is answered, and is stopped when the gateway dies";

const POLICY = `
tools:
  search: { allow: true }
  rm: { allow: false }
  mail: { allow: true }
data:
  credential_action: redact_only
`;

interface Outcome {
  readonly registered: boolean;
  readonly audit_sink: string;
  readonly adapters: readonly string[];
  readonly search: string;
  readonly rm: string;
  readonly mail: string;
  readonly afterwards: string;
  readonly ran: readonly string[];
}

async function works(command: string, ...args: string[]): Promise<boolean> {
  const run = new Deno.Command(command, { args, stdout: "null", stderr: "null" }).output();
  return await run.then(({ success }) => success, () => false);
}

/** Its package needs Python 3.12 or later, which the oldest supported distribution lacks. */
async function findPython(): Promise<string | undefined> {
  const pyenv = `${Deno.env.get("PYENV_ROOT") ?? `${Deno.env.get("HOME")}/.pyenv`}/versions`;
  const installed: string[] = [];
  try {
    for await (const entry of Deno.readDir(pyenv)) {
      if (entry.name.startsWith("3.12")) installed.push(`${pyenv}/${entry.name}/bin/python3.12`);
    }
  } catch {
    // No pyenv here.
  }
  for (const python of ["python3.12", ...installed]) {
    if (await works(python, "-c", "import venv, ensurepip")) return python;
  }
  return undefined;
}

/** A virtual environment with the packages of `requirements.txt`; or what is missing. */
async function environment(directory: string): Promise<{ python: string } | { missing: string }> {
  const python = await findPython();
  if (python === undefined) return { missing: "a Python 3.12 with venv" };
  assert.ok(await works(python, "-m", "venv", `${directory}/venv`), "cannot make a venv");
  const own = `${directory}/venv/bin/python`;
  const install = ["-m", "pip", "install", "--quiet", "--pre", "-r", `${HERE}requirements.txt`];
  return await works(own, ...install)
    ? { python: own }
    : { missing: "the packages of tests/foreign/reference_sdk/requirements.txt" };
}

Deno.test(NAME, async () => {
  const directory = await Deno.makeTempDir({ prefix: "aasm-reference-" });
  await Deno.chmod(directory, 0o700);
  try {
    const found = await environment(directory);
    if ("missing" in found) {
      // deno-lint-ignore no-console
      console.log(`SKIPPED: ${NAME}: needs ${found.missing}`);
      return;
    }
    await flow(directory, found.python);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

async function flow(directory: string, python: string): Promise<void> {
  await Deno.writeTextFile(`${directory}/policy.yaml`, POLICY);
  const gateway_flags = ["--policy", "policy.yaml", "--state-dir", "gateway"];
  const gateway = await startGatewayProcess(gateway_flags, directory);
  const runtime = await startRuntimeProcess(
    ["--gateway", `http://${gateway.address}`, "--no-local-policy"],
    directory,
  );
  const agent = new Deno.Command(python, {
    args: [
      `${HERE}agent.py`,
      `http://${gateway.address}`,
      runtime.socket,
      `${directory}/identity`,
      "--wait",
    ],
    cwd: directory,
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const errors = new Response(agent.stderr).text();
  const lines = agent.stdout.pipeThrough(new TextDecoderStream()).getReader();
  try {
    const ready = await lines.read();
    if (ready.value?.trim() !== '{"ready": true}') {
      assert.fail(`agent: ${await errors}\nruntime: ${runtime.log()}`);
    }
    const rooms = await healthRooms(runtime.health);
    assert.equal(rooms["decisions"]?.["following"]?.state, "following", JSON.stringify(rooms));
    await gateway.kill();
    const writer = agent.stdin.getWriter();
    await writer.write(new TextEncoder().encode("go\n"));
    await writer.close();
    let text = "";
    for (let next = await lines.read(); !next.done; next = await lines.read()) text += next.value;
    if (!text.endsWith("}\n")) {
      assert.fail(`agent: ${text}${await errors}\nruntime: ${runtime.log()}`);
    }
    judge(JSON.parse(text));
    await everythingOnRecord(directory, gateway.address, gateway_flags);
  } finally {
    await lines.cancel();
    await agent.status;
    await errors;
    await runtime.stop();
    await gateway.kill().catch(() => {});
  }
}

function judge(outcome: Outcome): void {
  assert.equal(outcome.registered, true);
  assert.equal(outcome.audit_sink, "forwarded");
  assert.ok(outcome.adapters.includes("LangChainAdapter"));
  assert.equal(outcome.search, "returned: about weather");
  assert.match(outcome.rm, /^ToolExecutionBlockedError: tool denied by policy/);
  // Trap R9: this client would go on with the secret if it were answered REDACT.
  assert.match(outcome.mail, /^ToolExecutionBlockedError: sensitive data detected/);
  assert.match(outcome.afterwards, /^ToolExecutionBlockedError: .*gateway/);
  assert.deepEqual(outcome.ran, ["search"]);
}

/** The gateway comes back, and what the runtime kept meanwhile reaches the log. */
async function everythingOnRecord(
  directory: string,
  address: string,
  flags: readonly string[],
): Promise<void> {
  const gateway = await startGatewayProcess([...flags, "--listen", address], directory);
  try {
    const deadline = Date.now() + 30_000;
    while (true) {
      const text = await Deno.readTextFile(`${directory}/gateway/audit/gateway-default.jsonl`);
      assert.ok(!text.includes("sk-ant-api03-A1b2"), "the key is in the log");
      // Three outcomes that the SDK reported, and the denial that nobody but the runtime saw.
      const reported = text.split("\n").filter((line) => line.includes("spool_seq")).length;
      if (reported >= 4 && text.includes("gateway_away")) return;
      assert.ok(Date.now() < deadline, `only ${reported} records arrived`);
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  } finally {
    await gateway.stop();
  }
}

async function healthRooms(
  address: string,
): Promise<Record<string, Record<string, { state?: string }>>> {
  return (await (await fetch(`${address}/health`)).json()).rooms;
}
