/**
 * The SDK over the real runtime's socket and the real gateway's web listener: on Deno, and bundled
 * for Node and Bun.
 *
 * @module
 */
import assert from "node:assert/strict";
import { govern } from "@agent-assembly/sdk";
import { startRuntimeProcess } from "../harness/runtime_process.ts";
import { GITHUB_PAT, type GovernedWorld, governedWorld } from "./governed_world.ts";

const ROOT = new URL("../..", import.meta.url).pathname;

async function withRuntime(
  use: (world: GovernedWorld, socket: string, directory: string) => Promise<void>,
): Promise<void> {
  const directory = await Deno.makeTempDir({ prefix: "sdk-" });
  await Deno.chmod(directory, 0o700);
  await using world = await governedWorld();
  const runtime = await startRuntimeProcess(["--gateway", world.grpc_url], directory);
  try {
    await use(world, runtime.socket, directory);
  } catch (error) {
    // deno-lint-ignore no-console
    console.error(runtime.log());
    throw error;
  } finally {
    await runtime.kill();
    await Deno.remove(directory, { recursive: true });
  }
}

const EPHEMERAL = { identity: "ephemeral" } as const;

Deno.test("over the real runtime's socket: allowed, denied, redacted, approved, and nothing lost", async () => {
  await withRuntime(async (world, socket) => {
    const agent = await govern({
      agent_id: "agent-1",
      socket,
      runtime: { register_over: { grpc: world.grpc_url } },
      registration: EPHEMERAL,
    });
    assert.equal(agent.transport, "socket");
    await agent.check({ kind: "tool_call", tool: "search", args: { q: "a" } });
    await assert.rejects(
      agent.check({ kind: "tool_call", tool: "deploy", args: {} }),
      { code: "policy_violation" },
    );
    const { act } = await agent.check({
      kind: "tool_call",
      tool: "push",
      args: { token: GITHUB_PAT },
    });
    assert.deepEqual(act.args, { token: "[REDACTED:GitHubPat]" });
    const paid = agent.check({ kind: "tool_call", tool: "pay", args: { amount: 99 } });
    await world.decideNext(true);
    assert.equal((await paid).by, "approval");
    const refused = agent.check({ kind: "tool_call", tool: "pay", args: { amount: 98 } });
    refused.catch(() => {});
    await world.decideNext(false);
    await assert.rejects(refused, { code: "approval_denied" });
    for (let i = 0; i < 20; i++) await agent.reportEvent("tool_call", `n ${i}`);
    assert.equal(await agent.flush(20_000), true);
    await agent.shutdown();
  });
});

async function found(program: string): Promise<string | undefined> {
  const which = new Deno.Command("sh", { args: ["-c", `command -v ${program}`], stdout: "piped" });
  const { code, stdout } = await which.output();
  return code === 0 ? new TextDecoder().decode(stdout).trim() : undefined;
}

async function output(program: string, args: readonly string[], cwd = ROOT): Promise<string> {
  const { code, stdout, stderr } = await new Deno.Command(program, {
    args: [...args],
    cwd,
    stdout: "piped",
    stderr: "piped",
  }).output();
  assert.equal(code, 0, new TextDecoder().decode(stderr));
  return new TextDecoder().decode(stdout);
}

for (const program of ["node", "bun"] as const) {
  Deno.test(`bundled, the SDK governs on ${program}: over the runtime's socket and over HTTP`, async () => {
    const path = await found(program);
    if (path === undefined) {
      // deno-lint-ignore no-console
      console.log(`SKIPPED: the SDK on ${program}: no ${program}`);
      return;
    }
    await withRuntime(async (world, socket, directory) => {
      const file = `${directory}/agent.mjs`;
      await output(Deno.execPath(), [
        ...["bundle", "--platform", "deno", "-o", file, "tests/sdk/foreign_agent.ts"],
      ]);
      const printed = await output(path, [file, world.web_url, socket, GITHUB_PAT], directory);
      const { over_http, over_socket } = JSON.parse(printed.trim().split("\n").at(-1) ?? "");
      const expected = {
        allowed: "found weather",
        denied: "policy_violation",
        redacted: [{ token: "[REDACTED:GitHubPat]" }],
        delivered: true,
      };
      assert.deepEqual(over_http, expected);
      assert.deepEqual(over_socket, expected);
    });
  });
}
