/** The SDK's own socket client at a real runtime process: one protocol, written down once. */
import assert from "node:assert/strict";
import { publicIdKey, seededKey } from "../../proto/ipc/mod.ts";
import { PolicyViolationError } from "../../sdk/errors.ts";
import { governWith } from "../../sdk/govern_with.ts";
import type { GovernedAgent } from "../../sdk/governed_agent.ts";
import { SocketClient } from "../../sdk/transports/socket/socket_client.ts";
import { startRuntimeProcess } from "../harness/runtime_process.ts";

const RULES = `[[rules]]
name = "no files"
blocked_actions = ["FILE_OPERATION"]
`;

const INSTALLED = seededKey(new Uint8Array(32).fill(6));

async function inPrivateDirectory(use: (directory: string) => Promise<void>): Promise<void> {
  const directory = await Deno.makeTempDir({ prefix: "aasm-sdk-runtime-" });
  await Deno.chmod(directory, 0o700);
  try {
    await Deno.writeTextFile(`${directory}/policy.toml`, RULES);
    await use(directory);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

function agentAt(path: string, key = publicIdKey("agent-1")): GovernedAgent {
  const client = new SocketClient({ path, key, sdk_version: "0.4.0" });
  return governWith({ agent: { agent_id: "agent-1" }, client });
}

Deno.test("the SDK asks a runtime process, is allowed and denied, and finds the next one after kill -9", async () => {
  await inPrivateDirectory(async (directory) => {
    const first = await startRuntimeProcess(["--local-policy", "policy.toml"], directory);
    const agent = agentAt(first.socket);
    const search = () => agent.check({ kind: "tool_call", tool: "search", args: {} });
    await search();
    await assert.rejects(
      agent.check({ kind: "file", operation: "read", path: "/etc/passwd" }),
      PolicyViolationError,
    );
    await first.kill();
    await assert.rejects(search(), "nobody decides: nothing is allowed");
    const second = await startRuntimeProcess(["--local-policy", "policy.toml"], directory);
    try {
      for (const end_ms = performance.now() + 30_000;;) {
        try {
          await search();
          break;
        } catch (error) {
          if (performance.now() > end_ms) throw error;
          await new Promise((resolve) => setTimeout(resolve, 20));
        }
      }
      await agent[Symbol.asyncDispose]();
    } finally {
      await second.stop();
    }
  });
});

Deno.test("with an installed key the SDK is known by a secret, and without it nobody is let in", async () => {
  await inPrivateDirectory(async (directory) => {
    const hex = Uint8Array.from(INSTALLED.public_key).toHex();
    const runtime = await startRuntimeProcess(
      ["--local-policy", "policy.toml", "--handshake", "installed", "--trust-agent-key", hex],
      directory,
    );
    try {
      const known = agentAt(runtime.socket, INSTALLED);
      await known.check({ kind: "tool_call", tool: "search", args: {} });
      const stranger = agentAt(runtime.socket);
      await assert.rejects(stranger.check({ kind: "tool_call", tool: "search", args: {} }));
      await known[Symbol.asyncDispose]();
      // What it kept for a runtime that never let it in cannot be delivered, and it says so.
      await stranger[Symbol.asyncDispose]().catch(() => {});
    } finally {
      await runtime.stop();
    }
  });
});
