import assert from "node:assert/strict";
import { create } from "@bufbuild/protobuf";
import { Decision } from "@agent-assembly/proto/common";
import { type CheckActionRequest, CheckActionResponseSchema } from "@agent-assembly/proto/policy";
import { InvalidActError, PolicyViolationError } from "../errors.ts";
import { governWith } from "../govern_with.ts";
import type { GovernedAgent } from "../governed_agent.ts";
import { wrapCommand } from "./command.ts";
import { wrapFetch } from "./fetch.ts";
import { wrapDenoFiles, wrapNodeFiles } from "./files.ts";

type WireAction = NonNullable<CheckActionRequest["context"]>["action"];

/** An agent whose acts are judged by a function, and the acts that were asked about. */
function judged(allows: (action: WireAction) => boolean): {
  readonly agent: GovernedAgent;
  readonly asked: WireAction[];
} {
  const asked: WireAction[] = [];
  const agent = governWith({
    agent: { agent_id: "test" },
    client: {
      transport: "test",
      check_capable: true,
      check: ({ context }) => {
        const action = context?.action ?? { case: undefined };
        asked.push(action);
        const decision = allows(action) ? Decision.ALLOW : Decision.DENY;
        return Promise.resolve({ response: create(CheckActionResponseSchema, { decision }) });
      },
      settle: (_question, pending) => Promise.resolve(pending),
      report: () => Promise.resolve(),
      flush: () => Promise.resolve(true),
      heartbeat: () => Promise.resolve(undefined),
      close: () => Promise.resolve(),
    },
  });
  return { agent, asked };
}

async function withServer(
  handler: (request: Request) => Response | Promise<Response>,
  use: (port: number) => Promise<void>,
): Promise<void> {
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, handler);
  try {
    await use(server.addr.port);
  } finally {
    await server.shutdown();
  }
}

Deno.test("fetch asks before the connection, and a denied host is never reached", async () => {
  let reached = 0;
  await withServer(() => new Response(`hit ${++reached}`), async (port) => {
    const { agent, asked } = judged((action) =>
      action.case === "networkCall" && action.value.host === "127.0.0.1"
    );
    const governed = wrapFetch(agent);
    assert.equal(await (await governed(`http://127.0.0.1:${port}/a`)).text(), "hit 1");
    assert.deepEqual(asked.map(({ value }) => value && "port" in value && value.port), [port]);
    await assert.rejects(governed(`http://localhost:${port}/a`), PolicyViolationError);
    assert.equal(reached, 1);
  });
});

Deno.test("fetch asks about each redirect, and sends no credential to another origin", async () => {
  const seen: string[] = [];
  await withServer((request) => {
    seen.push(`inner ${request.method} ${request.headers.get("authorization")}`);
    return new Response("inside");
  }, async (inner) => {
    await withServer((request) => {
      const to = new URL(request.url).pathname === "/denied"
        ? `http://localhost:${inner}/`
        : `http://127.0.0.1:${inner}/`;
      return new Response(null, { status: 302, headers: { location: to } });
    }, async (outer) => {
      const { agent } = judged((action) =>
        action.case === "networkCall" && action.value.host === "127.0.0.1"
      );
      const governed = wrapFetch(agent);
      const headers = { authorization: "Bearer secret" };
      const init = { method: "POST", body: "x", headers };
      assert.equal(
        await (await governed(`http://127.0.0.1:${outer}/allowed`, init)).text(),
        "inside",
      );
      await assert.rejects(
        governed(`http://127.0.0.1:${outer}/denied`, init),
        PolicyViolationError,
      );
      assert.deepEqual(seen, ["inner GET null"]);
    });
  });
});

Deno.test("fetch opens no file, and its redirects are bounded", async () => {
  const { agent, asked } = judged(() => true);
  const governed = wrapFetch(agent);
  await assert.rejects(governed("file:///etc/passwd"), InvalidActError);
  assert.equal(asked.length, 0);
  await withServer(
    () => new Response(null, { status: 302, headers: { location: "/again" } }),
    async (port) => {
      await assert.rejects(governed(`http://127.0.0.1:${port}/`), /more than 20 redirects/);
    },
  );
  assert.equal(asked.length, 21);
});

Deno.test("a program starts only when it may, with the arguments that were asked about", async () => {
  const { agent, asked } = judged((action) =>
    action.case === "processExec" && action.value.args[0] === "ok"
  );
  const command = wrapCommand(agent);
  const args = ["ok"];
  const prepared = command("echo", { args, stdout: "piped" });
  args[0] = "changed";
  const { stdout } = await prepared.output();
  assert.equal(new TextDecoder().decode(stdout), "ok\n");
  await assert.rejects(command("echo", { args: ["no"] }).spawn(), PolicyViolationError);
  assert.equal(asked.length, 2);
});

async function inDirectory(use: (directory: string) => Promise<void>): Promise<void> {
  const directory = await Deno.realPath(await Deno.makeTempDir());
  try {
    await use(directory);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

Deno.test("a file is asked about by the place its path leads to: a link cannot stand for another", async () => {
  await inDirectory(async (directory) => {
    await Deno.mkdir(`${directory}/open`);
    await Deno.mkdir(`${directory}/secret`);
    await Deno.writeTextFile(`${directory}/secret/key`, "k");
    await Deno.writeTextFile(`${directory}/open/a`, "a");
    await Deno.symlink(`${directory}/secret/key`, `${directory}/open/link`);
    await Deno.symlink(`${directory}/secret`, `${directory}/open/dir`);
    await Deno.symlink(`${directory}/secret/none`, `${directory}/open/dangling`);
    const { agent, asked } = judged((action) =>
      action.case === "fileOp" && action.value.path.startsWith(`${directory}/open/`)
    );
    const files = wrapDenoFiles(agent);
    assert.equal(await files.readTextFile(`${directory}/open/a`), "a");
    await files.writeTextFile(`${directory}/open/new`, "n");
    for (const path of ["open/link", "open/dir/key", "open/../secret/key", "secret/key"]) {
      await assert.rejects(files.readTextFile(`${directory}/${path}`), PolicyViolationError, path);
    }
    for (const path of ["open/dir/new", "open/dir/deep/er/new"]) {
      await assert.rejects(
        files.writeTextFile(`${directory}/${path}`, "x"),
        PolicyViolationError,
        path,
      );
    }
    await assert.rejects(files.writeTextFile(`${directory}/open/dangling`, "x"), InvalidActError);
    // What is removed is the link itself, not what it leads to.
    await files.remove(`${directory}/open/link`);
    assert.equal(await Deno.readTextFile(`${directory}/secret/key`), "k");
    await assert.rejects(
      files.rename(`${directory}/secret/key`, `${directory}/open/stolen`),
      PolicyViolationError,
    );
    using file = await files.open(`${directory}/open/a`, { read: true, write: true });
    assert.ok(file instanceof Deno.FsFile);
    const operations = asked.slice(-2).map((one) => one.case === "fileOp" && one.value.operation);
    assert.deepEqual(operations, ["read", "write"]);
    const node = await wrapNodeFiles(agent);
    assert.equal(await node.readFile(`${directory}/open/a`, "utf8"), "a");
    await assert.rejects(node.readFile(`${directory}/open/dir/key`), PolicyViolationError);
    await node.appendFile(`${directory}/open/a`, "b");
    assert.equal(await node.readFile(new URL(`file://${directory}/open/a`), "utf8"), "ab");
  });
});

Deno.test("a flag that writes is asked about as what it does, and cannot change while asking", async () => {
  await inDirectory(async (directory) => {
    const path = `${directory}/a`;
    await Deno.writeTextFile(path, "kept");
    const { agent, asked } = judged((action) =>
      action.case === "fileOp" && ["read", "append"].includes(action.value.operation)
    );
    const node = await wrapNodeFiles(agent);
    await assert.rejects(node.readFile(path, { flag: "w+" }), PolicyViolationError);
    await assert.rejects(node.appendFile(path, "x", { flag: "w" }), PolicyViolationError);
    await assert.rejects(node.readFile(path, { flag: "rw?" }), InvalidActError);
    const bytes = new TextEncoder().encode(path);
    await assert.rejects(node.readFile(bytes as never), InvalidActError);
    let reads = 0;
    const changing = Object.defineProperty({}, "flag", {
      get: () => reads++ === 0 ? "a" : "w",
      enumerable: true,
    });
    await node.writeFile(path, "+", changing);
    const how = { append: true };
    const write = wrapDenoFiles(agent).writeTextFile(path, "+", how);
    how.append = false;
    await write;
    assert.equal(await node.readFile(path, "utf8"), "kept++");
    assert.deepEqual(
      asked.slice(0, 3).map((one) => one.case === "fileOp" && one.value.operation),
      ["read", "write", "write"],
    );
  });
});
