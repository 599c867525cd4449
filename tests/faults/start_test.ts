/**
 * A gateway that cannot keep its promises does not start, and says what to do next.
 */
import assert from "node:assert/strict";
import { inTemporaryDirectory, startGatewayProcess } from "../harness/gateway_process.ts";
import { Channel, Code, createClient, GrpcError } from "../../grpc/mod.ts";
import { PolicyService } from "../../proto/gen/assembly/policy/v1/policy_pb.ts";

const POLICY = "tools:\n  read_file: { allow: true }\n";
const FLAGS = ["--policy", "policy.yaml", "--state-dir", "state"];

async function check(address: string): Promise<number> {
  const channel = new Channel(address);
  try {
    const response = await createClient(PolicyService, channel).checkAction({
      agentId: { agentId: "a" },
      context: { action: { case: "toolCall", value: { toolName: "read_file" } } },
    }, { timeout_ms: 5_000 });
    return response.decision;
  } finally {
    await channel.close();
  }
}

/** Starts, answers a few questions, stops: leaves a state directory with a checkpointed log. */
async function leaveState(directory: string): Promise<void> {
  await Deno.writeTextFile(`${directory}/policy.yaml`, POLICY);
  const gateway = await startGatewayProcess(FLAGS, directory);
  for (let n = 0; n < 5; n++) assert.equal(await check(gateway.address), 1);
  assert.equal(await gateway.stop(), 0, gateway.log());
}

async function refusalOf(directory: string, flags: readonly string[] = FLAGS): Promise<string> {
  try {
    const gateway = await startGatewayProcess(flags, directory);
    await gateway.kill();
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    assert.match(text, /gateway ended with 1/);
    return text;
  }
  throw new assert.AssertionError({ message: "the gateway started" });
}

Deno.test("an invalid policy at start is refused with file, line and column of every problem", async () => {
  await inTemporaryDirectory(async (directory) => {
    await Deno.writeTextFile(`${directory}/policy.yaml`, "tools:\n  x: { alow: 1 }\nbudgt: {}\n");
    const text = await refusalOf(directory);
    assert.match(text, /policy\.yaml:2:\d+: tools\.x\.alow/);
    assert.match(text, /policy\.yaml:3:\d+: budgt/);
  });
});

Deno.test("a corrupt registry is refused with what to do next", async () => {
  await inTemporaryDirectory(async (directory) => {
    await leaveState(directory);
    await Deno.writeTextFile(`${directory}/state/registry.db`, "this is no database ".repeat(500));
    assert.match(await refusalOf(directory), /registry\.db[\s\S]*(restore|move|remove|backup)/i);
  });
});

Deno.test("a log whose past was changed is refused as tampering, naming the entry", async () => {
  await inTemporaryDirectory(async (directory) => {
    await leaveState(directory);
    const path = `${directory}/state/audit/gateway-default.jsonl`;
    const text = await Deno.readTextFile(path);
    await Deno.writeTextFile(
      path,
      text.replace(`\\"verdict\\":\\"allow\\"`, `\\"verdict\\":\\"deny\\"`),
    );
    await Deno.remove(`${directory}/state/audit/log/state.json`).catch(() => {});
    assert.match(await refusalOf(directory), /entry|line/i);
  });
});

Deno.test("a log cut behind its signed checkpoint is refused as tampering", async () => {
  await inTemporaryDirectory(async (directory) => {
    await leaveState(directory);
    const path = `${directory}/state/audit/gateway-default.jsonl`;
    const lines = (await Deno.readTextFile(path)).split("\n");
    await Deno.writeTextFile(path, lines.slice(0, 2).join("\n") + "\n");
    assert.match(await refusalOf(directory), /checkpoint|truncat|missing/i);
  });
});

Deno.test("a second gateway on the same audit directory is refused", async () => {
  await inTemporaryDirectory(async (directory) => {
    await Deno.writeTextFile(`${directory}/policy.yaml`, POLICY);
    const first = await startGatewayProcess(FLAGS, directory);
    try {
      assert.match(await refusalOf(directory), /another|lock|already/i);
      assert.equal(await check(first.address), 1, "the first one is unharmed");
    } finally {
      await first.kill();
    }
  });
});

Deno.test("a missing directory above the state directory is named, not created with wider rights", async () => {
  await inTemporaryDirectory(async (directory) => {
    await Deno.writeTextFile(`${directory}/policy.yaml`, POLICY);
    const flags = ["--policy", "policy.yaml", "--state-dir", "no/such/place"];
    assert.match(await refusalOf(directory, flags), /no\/such\/place[\s\S]*create it/);
  });
});

/** A tiny file system: the gateway's state fits, its log soon does not. */
async function withTinyDisk(
  directory: string,
  size: string,
  use: (mount: string) => Promise<void>,
): Promise<void> {
  const mount = `${directory}/disk`;
  await Deno.mkdir(mount);
  const run = async (command: string, ...args: string[]) => {
    const { code, stderr } = await new Deno.Command(command, { args, stderr: "piped" }).output();
    assert.equal(code, 0, `${command} (needs root): ${new TextDecoder().decode(stderr)}`);
  };
  await run("mount", "-t", "tmpfs", "-o", `size=${size}`, "tmpfs", mount);
  try {
    await use(mount);
  } finally {
    await run("umount", "-l", mount);
  }
}

Deno.test("a full disk withholds every decision until there is room, and loses no acknowledged entry", async () => {
  await inTemporaryDirectory(async (directory) => {
    await Deno.writeTextFile(`${directory}/policy.yaml`, POLICY);
    await withTinyDisk(directory, "3m", async (mount) => {
      const flags = ["--policy", "policy.yaml", "--state-dir", `${mount}/state`];
      const gateway = await startGatewayProcess(flags, directory);
      try {
        assert.equal(await check(gateway.address), 1);
        const ballast = `${mount}/ballast`;
        const fill = await Deno.open(ballast, { create: true, write: true });
        const block = new Uint8Array(4_096).fill(1);
        try {
          for (;;) await fill.write(block);
        } catch {
          // Full: that is the point.
        }
        fill.close();
        let refused = 0;
        for (let n = 0; n < 20; n++) {
          try {
            assert.equal(await check(gateway.address), 1);
          } catch (error) {
            assert.ok(error instanceof GrpcError, String(error));
            assert.equal(error.code, Code.UNAVAILABLE);
            assert.match(error.message, /could not be recorded/);
            refused++;
          }
        }
        assert.ok(refused > 0, "nothing was refused on a full disk");
        await Deno.remove(ballast);
        const until = Date.now() + 15_000;
        let answer = 0;
        while (answer !== 1 && Date.now() < until) {
          answer = await check(gateway.address).catch(() => 0);
          if (answer !== 1) await new Promise((resolve) => setTimeout(resolve, 200));
        }
        assert.equal(answer, 1, `it decides again once there is room\n${gateway.log()}`);
        assert.equal(await gateway.stop(), 0, gateway.log());
      } finally {
        await gateway.kill().catch(() => {});
      }
    });
  });
});

Deno.test("a read-only state directory is refused with what to do next", async () => {
  await inTemporaryDirectory(async (directory) => {
    await leaveState(directory);
    await withTinyDisk(directory, "8m", async (mount) => {
      for (
        const command of [["cp", "-a", `${directory}/state`, mount], [
          "mount",
          "-o",
          "remount,ro",
          mount,
        ]]
      ) {
        const [name = "", ...args] = command;
        const { code } = await new Deno.Command(name, { args }).output();
        assert.equal(code, 0, command.join(" "));
      }
      const text = await refusalOf(directory, [
        "--policy",
        "policy.yaml",
        "--state-dir",
        `${mount}/state`,
      ]);
      assert.match(text, /read-only|permission|cannot/i);
      assert.match(text, /start again|restart|another|make/i);
    });
  });
});
