/**
 * Model Context Protocol, the real SDK: client and server side, in memory, over stdio and over HTTP.
 *
 * @module
 */
import assert from "node:assert/strict";
// @ts-types="@modelcontextprotocol/sdk/client/index"
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
// @ts-types="@modelcontextprotocol/sdk/client/stdio"
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
// @ts-types="@modelcontextprotocol/sdk/client/streamableHttp"
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
// @ts-types="@modelcontextprotocol/sdk/inMemory"
import { InMemoryTransport } from "@modelcontextprotocol/sdk/inMemory.js";
// @ts-types="@modelcontextprotocol/sdk/server/mcp"
import { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js";
// @ts-types="@modelcontextprotocol/sdk/server/index"
import { Server } from "@modelcontextprotocol/sdk/server/index.js";
// @ts-types="@modelcontextprotocol/sdk/server/webStandardStreamableHttp"
import { WebStandardStreamableHTTPServerTransport } from "@modelcontextprotocol/sdk/server/webStandardStreamableHttp.js";
// @ts-types="@modelcontextprotocol/sdk/types"
import { CallToolRequestSchema, CallToolResultSchema } from "@modelcontextprotocol/sdk/types.js";
// @ts-types="@modelcontextprotocol/sdk/shared/transport"
import type { Transport } from "@modelcontextprotocol/sdk/shared/transport.js";
import { z } from "zod";
import type { Guard } from "../adapters/guard.ts";
import { guardClient, guardServer } from "../adapters/mcp.ts";
import { testBehaviours } from "./behaviours.ts";
import { serverOf } from "./mcp_server.ts";
import { LABEL, LEAKED_KEY, RULE, ScriptedGuard } from "./scripted_guard.ts";
import type { Call } from "./toolbox.ts";

const CLIENT = { name: "agent", version: "1.0.0" };

/** What a model reads of each call: the result's text, or the message of the error. */
async function callAll(client: Client, calls: readonly Call[]): Promise<string[]> {
  return await Promise.all(calls.map(async ({ tool: name, args }) => {
    try {
      const { content } = CallToolResultSchema.parse(
        await client.callTool({ name, arguments: { ...args } }),
      );
      return content.map((part) => part.type === "text" ? part.text : part.type).join("\n");
    } catch (error) {
      return error instanceof Error ? error.message : String(error);
    }
  }));
}

testBehaviours({
  name: "mcp client",
  async run(guard, toolbox, calls) {
    const [ours, theirs] = InMemoryTransport.createLinkedPair();
    const client = guardClient(guard, new Client(CLIENT));
    await Promise.all([serverOf(toolbox).connect(theirs), client.connect(ours)]);
    try {
      return await callAll(client, calls);
    } finally {
      await client.close();
    }
  },
});

testBehaviours({
  name: "mcp client, over stdio",
  async run(guard, toolbox, calls) {
    const log = await Deno.makeTempFile();
    const transport = new StdioClientTransport({
      command: Deno.execPath(),
      args: [
        ...["run", "--no-prompt", "--quiet", `--config=${fileOf("frameworks.json")}`],
        ...[`--allow-write=${log}`, "--allow-env", fileOf("mcp_server.ts"), log],
      ],
      stderr: "inherit",
    });
    const client = guardClient(guard, new Client(CLIENT));
    await client.connect(transport);
    try {
      return await callAll(client, calls);
    } finally {
      await client.close();
      const lines = (await Deno.readTextFile(log)).split("\n").filter((line) => line !== "");
      toolbox.ran.push(...lines.map((line) => JSON.parse(line)));
      await Deno.remove(log);
    }
  },
  // The SDK leaves its pipes to the collector when the child has ended.
  sanitize: { sanitizeOps: false, sanitizeResources: false },
});

testBehaviours({
  name: "mcp server",
  async run(guard, toolbox, calls) {
    const [ours, theirs] = InMemoryTransport.createLinkedPair();
    const server = guardServer(guard, serverOf(toolbox));
    const client = new Client(CLIENT);
    await Promise.all([server.connect(theirs), client.connect(ours)]);
    try {
      return await callAll(client, calls);
    } finally {
      await client.close();
    }
  },
});

testBehaviours({
  name: "mcp server, over http",
  async run(guard, toolbox, calls) {
    const transport = new WebStandardStreamableHTTPServerTransport({
      sessionIdGenerator: () => crypto.randomUUID(),
    });
    const server = guardServer(guard, serverOf(toolbox));
    await server.connect(transport);
    const http = Deno.serve(
      { hostname: "127.0.0.1", port: 0, onListen() {} },
      (request) => transport.handleRequest(request),
    );
    const client = new Client(CLIENT);
    await client.connect(
      new StreamableHTTPClientTransport(new URL(`http://127.0.0.1:${http.addr.port}/mcp`)),
    );
    try {
      return await callAll(client, calls);
    } finally {
      await client.close();
      await server.close();
      await http.shutdown();
    }
  },
  sanitize: { sanitizeOps: false, sanitizeResources: false },
});

function fileOf(name: string): string {
  return new URL(name, import.meta.url).pathname;
}

/** A client and a server over the toolbox's kind of tools, one side guarded. */
async function connected(server: McpServer | Server, client: Client): Promise<Client> {
  const [ours, theirs] = InMemoryTransport.createLinkedPair();
  await Promise.all([server.connect(theirs), client.connect(ours)]);
  return client;
}

Deno.test("mcp client: the application gets the denial itself, also for a raw request and a task", async () => {
  const guard = new ScriptedGuard();
  let ran = 0;
  const server = new McpServer({ name: "s", version: "1" });
  server.registerTool("delete_repository", {}, () => {
    ran++;
    return { content: [] };
  });
  const client = await connected(server, guardClient(guard, new Client(CLIENT)));
  const refused = { name: "PolicyViolationError", message: new RegExp(RULE) };
  const params = { name: "delete_repository", arguments: {} };
  await assert.rejects(client.callTool(params), refused);
  await assert.rejects(
    client.request({ method: "tools/call", params }, CallToolResultSchema),
    refused,
  );
  const messages = await Array.fromAsync(client.experimental.tasks.callToolStream(params));
  assert.match(JSON.stringify(messages.at(-1)), /"type":"error"/);
  assert.equal(ran, 0);
  await client.close();
});

Deno.test("mcp client: a guarded client is not guarded twice", () => {
  const client = guardClient(new ScriptedGuard(), new Client(CLIENT));
  assert.throws(() => guardClient(new ScriptedGuard(), client), /guarded already/);
});

for (const side of ["client", "server"] as const) {
  Deno.test(`mcp ${side}: structured content and resources are redacted, a picture keeps its bytes`, async () => {
    const guard = new ScriptedGuard();
    const picture = btoa("no text at all, but base64");
    const server = new McpServer({ name: "s", version: "1" });
    server.registerTool("query", { outputSchema: { key: z.string() } }, () => ({
      content: [
        { type: "image", mimeType: "image/png", data: picture },
        { type: "resource", resource: { uri: "file:///env", text: `env ${LEAKED_KEY}` } },
      ],
      structuredContent: { key: LEAKED_KEY },
    }));
    const guarded = side === "server" ? guardServer(guard, server) : server;
    const client = new Client(CLIENT);
    await connected(guarded, side === "client" ? guardClient(guard, client) : client);
    assert.deepEqual(await client.callTool({ name: "query" }), {
      content: [
        { type: "image", mimeType: "image/png", data: picture },
        { type: "resource", resource: { uri: "file:///env", text: `env ${LABEL}` } },
      ],
      structuredContent: { key: LABEL },
    });
    assert.ok(!JSON.stringify(guard.outcomes).includes(picture));
    await client.close();
  });
}

Deno.test("mcp server: a low-level server is guarded as well, and its protocol errors are redacted", async () => {
  const guard = new ScriptedGuard();
  const ran: string[] = [];
  const server = guardServer(
    guard,
    new Server({ name: "s", version: "1" }, { capabilities: { tools: {} } }),
  );
  server.setRequestHandler(CallToolRequestSchema, ({ params }) => {
    ran.push(params.name);
    throw new Error(`no route to ${LEAKED_KEY}`);
  });
  const client = await connected(server, new Client(CLIENT));
  const denied = await client.callTool({ name: "delete_repository", arguments: {} });
  assert.equal(denied.isError, true);
  assert.match(JSON.stringify(denied.content), new RegExp(RULE));
  assert.deepEqual(ran, []);
  await assert.rejects(client.callTool({ name: "note", arguments: {} }), (error) => {
    assert.ok(error instanceof Error);
    assert.ok(error.message.includes(LABEL) && !error.message.includes(LEAKED_KEY), error.message);
    return true;
  });
  assert.deepEqual(ran, ["note"]);
  await client.close();
});

Deno.test("mcp server: a call that its client gave up while it was held does not run after the grant", async () => {
  const guard = new ScriptedGuard();
  const ran: string[] = [];
  const server = new McpServer({ name: "s", version: "1" });
  server.registerTool("deploy", { inputSchema: { environment: z.string() } }, () => {
    ran.push("deploy");
    return { content: [] };
  });
  server.registerTool("note", {}, () => ({ content: [{ type: "text", text: "noted" }] }));
  const client = await connected(guardServer(guard, server), new Client(CLIENT));
  const giveUp = new AbortController();
  const held = client.callTool(
    { name: "deploy", arguments: { environment: "production" } },
    undefined,
    { signal: giveUp.signal },
  );
  while (guard.calls.length === 0) await client.ping();
  giveUp.abort(new Error("never mind"));
  await assert.rejects(held, /never mind/);
  // Whatever was sent before this answer has been read by now.
  await client.ping();
  assert.equal(guard.calls[0]?.signal?.aborted, true);
  await guard.decide(true);
  assert.deepEqual((await client.callTool({ name: "note" })).content, [{
    type: "text",
    text: "noted",
  }]);
  assert.deepEqual(ran, []);
  await client.close();
});

Deno.test("mcp server: a held call ends with its connection", async () => {
  const told = Promise.withResolvers<void>();
  const guard: Guard = {
    beforeTool: ({ signal }) =>
      new Promise((_, reject) =>
        signal?.addEventListener("abort", () => {
          told.resolve();
          reject(signal.reason);
        })
      ),
    afterTool: ({ result }) => Promise.resolve(result),
    beforeModel: () => Promise.resolve(),
  };
  const server = new McpServer({ name: "s", version: "1" });
  let ran = 0;
  server.registerTool("note", {}, () => ({ content: [], ran: ran++ }));
  const [ours, theirs] = InMemoryTransport.createLinkedPair();
  const client = new Client(CLIENT);
  await Promise.all([
    guardServer(guard, server).connect(theirs as Transport),
    client.connect(ours),
  ]);
  const held = client.callTool({ name: "note" });
  const ended = assert.rejects(held, /[Cc]onnection closed/);
  await client.ping();
  await client.close();
  await told.promise;
  await ended;
  assert.equal(ran, 0);
});

Deno.test("mcp server: it must be guarded before it is connected, and once", async () => {
  const guard = new ScriptedGuard();
  const server = new McpServer({ name: "s", version: "1" });
  const client = await connected(server, new Client(CLIENT));
  assert.throws(() => guardServer(guard, server), /connected already: guard it before `connect`/);
  await client.close();
  const fresh = guardServer(guard, new McpServer({ name: "s", version: "1" }));
  assert.throws(() => guardServer(guard, fresh), /guarded already/);
});
