/**
 * OpenAI Agents, the real package, under a scripted model.
 *
 * @module
 */
import assert from "node:assert/strict";
import {
  Agent,
  applyPatchTool,
  type MCPServer,
  type Model,
  type ModelRequest,
  type ModelResponse,
  Runner,
  setTracingDisabled,
  shellTool,
  type StreamEvent,
  tool,
  Usage,
  webSearchTool,
} from "@openai/agents";
import { z } from "zod";
import { UnguardableToolError } from "../adapters/guard.ts";
import {
  guardMcpServer,
  guardModel,
  guardModelProvider,
  guardTools,
} from "../adapters/openai_agents.ts";
import { testBehaviours } from "./behaviours.ts";
import { LABEL, LEAKED_KEY, RULE, ScriptedGuard } from "./scripted_guard.ts";
import type { Call, Toolbox } from "./toolbox.ts";

setTracingDisabled(true);

type Done = Extract<StreamEvent, { type: "response_done" }>;
type OutputItem = Done["response"]["output"][number];

/** Gives `turns` one after the other, then says "done". */
class ScriptedModel implements Model {
  readonly requests: ModelRequest[] = [];
  constructor(readonly turns: readonly (readonly OutputItem[])[]) {}

  getResponse(request: ModelRequest): Promise<ModelResponse> {
    return Promise.resolve({ usage: new Usage(), output: this.#turn(request) });
  }

  async *getStreamedResponse(request: ModelRequest): AsyncIterable<StreamEvent> {
    yield await Promise.resolve({ type: "response_started" });
    yield {
      type: "response_done",
      response: {
        id: "r",
        usage: { inputTokens: 1, outputTokens: 1, totalTokens: 2 },
        output: this.#turn(request),
      },
    };
  }

  #turn(request: ModelRequest): OutputItem[] {
    const turn = this.turns[this.requests.length];
    const { signal: _signal, ...rest } = request;
    this.requests.push(structuredClone(rest));
    return [
      ...turn ?? [{
        type: "message",
        role: "assistant",
        status: "completed",
        content: [{ type: "output_text", text: "done" }],
      }],
    ];
  }
}

function functionCalls(calls: readonly Call[]): OutputItem[] {
  return calls.map(({ tool: name, args }, index) => ({
    type: "function_call",
    callId: `call-${index}`,
    name,
    status: "completed",
    arguments: JSON.stringify(args),
  }));
}

/** What the model was sent as the answer to each call. */
function answersIn(request: ModelRequest | undefined): string[] {
  const items = typeof request?.input === "string" ? [] : request?.input ?? [];
  return items.flatMap((item) => {
    if (item.type !== "function_call_result") return [];
    const { output } = item;
    if (typeof output === "string") return [output];
    const parts = Array.isArray(output) ? output : [output];
    return [parts.map((part) => "text" in part ? part.text : JSON.stringify(part)).join("\n")];
  });
}

function toolsOf(toolbox: Toolbox) {
  return toolbox.specs.map(({ name, description, schema, run }) =>
    tool({
      name,
      description,
      parameters: schema,
      execute: (args) => Promise.resolve(run(args as Record<string, unknown>)),
      // The framework's own tells the model nothing of what went wrong.
      errorFunction: (_context, error) => String(error),
    })
  );
}

for (const stream of [false, true]) {
  testBehaviours({
    name: stream ? "openai agents, streaming" : "openai agents",
    async run(guard, toolbox, calls) {
      const model = new ScriptedModel([functionCalls(calls)]);
      const agent = new Agent({
        name: "helper",
        model: guardModel(guard, model, "demo-model"),
        tools: guardTools(guard, toolsOf(toolbox)),
      });
      const runner = new Runner({ tracingDisabled: true });
      if (stream) {
        const result = await runner.run(agent, "go", { stream: true });
        for await (const _event of result) { /* the stream drives the agent */ }
        await result.completed;
      } else {
        await runner.run(agent, "go");
      }
      return answersIn(model.requests[1]);
    },
  });
}

/** A server of the framework's interface over the toolbox; its state is private. */
class ScriptedMcpServer implements MCPServer {
  readonly name = "scripted";
  readonly cacheToolsList = false;
  readonly #toolbox: Toolbox;
  constructor(toolbox: Toolbox) {
    this.#toolbox = toolbox;
  }
  connect = () => Promise.resolve();
  close = () => Promise.resolve();
  invalidateToolsCache = () => Promise.resolve();
  listTools(): ReturnType<MCPServer["listTools"]> {
    const tools = this.#toolbox.specs.map(({ name, description, schema }) => {
      const { properties = {}, required = [] } = z.toJSONSchema(schema);
      const inputSchema = { type: "object" as const, properties, required };
      return { name, description, inputSchema: { ...inputSchema, additionalProperties: false } };
    });
    return Promise.resolve(tools);
  }
  callTool(name: string, args: Record<string, unknown> | null) {
    const spec = this.#toolbox.specs.find((one) => one.name === name);
    const answer = spec?.run(args ?? {});
    const text = typeof answer === "string" ? answer : JSON.stringify(answer);
    return Promise.resolve([{ type: "text" as const, text }]);
  }
}

testBehaviours({
  name: "openai agents, tools of an MCP server",
  async run(guard, toolbox, calls) {
    const model = new ScriptedModel([functionCalls(calls)]);
    const server = guardMcpServer(guard, new ScriptedMcpServer(toolbox));
    const agent = new Agent({ name: "helper", model, mcpServers: [server] });
    await new Runner({ tracingDisabled: true }).run(agent, "go");
    return answersIn(model.requests[1]);
  },
});

Deno.test("openai agents: a run can be made to end with the denial itself", async () => {
  const guard = new ScriptedGuard();
  let ran = 0;
  const forbidden = tool({
    name: "delete_repository",
    description: "deletes",
    parameters: z.object({}),
    execute: () => `ran ${ran++}`,
  });
  const [guarded] = guardTools(guard, [forbidden], { on_refusal: "throw" });
  assert.ok(guarded !== undefined);
  const model = new ScriptedModel([functionCalls([{ tool: "delete_repository", args: {} }])]);
  const agent = new Agent({ name: "helper", model, tools: [guarded] });
  await assert.rejects(new Runner().run(agent, "go"), (error) => {
    assert.ok(error instanceof Error);
    const cause = "error" in error ? error.error : error;
    assert.ok(cause instanceof Error && cause.name === "PolicyViolationError", String(cause));
    return true;
  });
  assert.equal(ran, 0);
});

Deno.test("openai agents: an agent used as a tool is asked for like any tool", async () => {
  const guard = new ScriptedGuard();
  const inner = new ScriptedModel([]);
  const helper = new Agent({ name: "inner", model: inner });
  const asTool = helper.asTool({ toolName: "delete_repository", toolDescription: "asks inner" });
  const outer = new ScriptedModel([
    functionCalls([{ tool: "delete_repository", args: { input: "go" } }]),
  ]);
  const agent = new Agent({ name: "outer", model: outer, tools: guardTools(guard, [asTool]) });
  await new Runner().run(agent, "go");
  assert.deepEqual(inner.requests, []);
  assert.match(answersIn(outer.requests[1])[0] ?? "", new RegExp(RULE));
});

Deno.test("openai agents: a local shell and a patch editor ask before they act", async () => {
  const guard = new ScriptedGuard();
  const did: unknown[] = [];
  const shell = {
    run(action: unknown) {
      did.push(action);
      const outcome = { type: "exit" as const, exitCode: 0 };
      return Promise.resolve({ output: [{ stdout: `env ${LEAKED_KEY}`, stderr: "", outcome }] });
    },
  };
  const edit = (operation: unknown) => {
    did.push(operation);
    return Promise.resolve({ status: "completed" as const, output: "edited" });
  };
  const tools = guardTools(guard, [
    shellTool({ shell }),
    applyPatchTool({
      name: "delete_repository",
      editor: { createFile: edit, updateFile: edit, deleteFile: edit },
    }),
  ]);
  const model = new ScriptedModel([[
    { type: "shell_call", callId: "s", status: "completed", action: { commands: ["env"] } },
    {
      type: "apply_patch_call",
      callId: "p",
      status: "completed",
      operation: { type: "delete_file", path: "/etc/passwd" },
    },
  ]]);
  await new Runner().run(new Agent({ name: "helper", model, tools }), "go");
  assert.deepEqual(did, [{ commands: ["env"] }]);
  const read = JSON.stringify(model.requests[1]?.input);
  assert.ok(read.includes(`env ${LABEL}`) && !read.includes(LEAKED_KEY), read);
  assert.ok(read.includes(RULE), read);
});

Deno.test("openai agents: a hosted tool is refused until it is named", () => {
  const guard = new ScriptedGuard();
  const hosted = webSearchTool();
  assert.throws(
    () => guardTools(guard, [hosted]),
    (error) =>
      error instanceof UnguardableToolError && /runs at the model's provider/.test(error.message),
  );
  assert.deepEqual(guardTools(guard, [hosted], { unguarded: ["web_search"] }), [hosted]);
});

Deno.test("openai agents: the model is asked for before it is called, and a forbidden one is not called", async () => {
  const guard = new ScriptedGuard();
  const model = new ScriptedModel([]);
  const provider = guardModelProvider(guard, { getModel: () => model });
  const runner = new Runner({ modelProvider: provider });
  await runner.run(new Agent({ name: "helper", model: "demo-model" }), "four word prompt");
  assert.deepEqual(guard.models.map((call) => call.model), ["demo-model"]);
  const refused = { name: "PolicyViolationError", message: /tools\.llm_call/ };
  const forbidden = new Agent({ name: "helper", model: "forbidden-model" });
  await assert.rejects(runner.run(forbidden, "go"), refused);
  assert.equal(model.requests.length, 1);
});
