/**
 * Mastra, the real package, under a scripted model.
 *
 * @module
 */
import assert from "node:assert/strict";
import { Agent, type AgentConfig } from "@mastra/core/agent";
import { createTool } from "@mastra/core/tools";
import { wrapLanguageModel } from "ai";
import { convertArrayToReadableStream, MockLanguageModelV4 } from "ai/test";
import { z } from "zod";
import { type Guard, UnguardableToolError } from "../adapters/guard.ts";
import { guardHooks, guardTools } from "../adapters/mastra.ts";
import { guardModel } from "../adapters/vercel_ai.ts";
import { testBehaviours } from "./behaviours.ts";
import { LABEL, LEAKED_KEY, RULE, ScriptedGuard } from "./scripted_guard.ts";
import type { Call, Toolbox } from "./toolbox.ts";

const USAGE = {
  inputTokens: { total: 9, noCache: 9, cacheRead: 0, cacheWrite: 0 },
  outputTokens: { total: 3, text: 3, reasoning: 0 },
};

/** Makes the calls in its first turn and says "done" in its second. */
function scriptedModel(calls: readonly Call[], modelId = "demo-model"): MockLanguageModelV4 {
  let turn = 0;
  const content = () =>
    turn++ === 0 && calls.length > 0
      ? calls.map(({ tool, args }, index) => ({
        type: "tool-call" as const,
        toolCallId: `call-${index}`,
        toolName: tool,
        input: JSON.stringify(args),
      }))
      : undefined;
  return new MockLanguageModelV4({
    modelId,
    doGenerate: () => {
      const parts = content();
      return Promise.resolve({
        content: parts ?? [{ type: "text" as const, text: "done" }],
        finishReason: { unified: parts === undefined ? "stop" : "tool-calls", raw: undefined },
        usage: USAGE,
        warnings: [],
      });
    },
    doStream: () => {
      const parts = content();
      const unified = parts === undefined ? "stop" : "tool-calls";
      return Promise.resolve({
        stream: convertArrayToReadableStream([
          { type: "stream-start" as const, warnings: [] },
          ...parts ?? [
            { type: "text-start" as const, id: "1" },
            { type: "text-delta" as const, id: "1", delta: "done" },
            { type: "text-end" as const, id: "1" },
          ],
          {
            type: "finish" as const,
            finishReason: { unified: unified as "stop", raw: undefined },
            usage: USAGE,
          },
        ]),
      });
    },
  });
}

/** The framework carries another copy of the model's types than the package that makes the model. */
function guarded(guard: Guard, model: MockLanguageModelV4): AgentConfig["model"] {
  return wrapLanguageModel({
    model,
    middleware: guardModel(guard),
  }) as unknown as AgentConfig["model"];
}

function toolsOf(toolbox: Toolbox) {
  return Object.fromEntries(
    toolbox.specs.map(({ name, description, schema, run }) => [
      name,
      createTool({
        id: `${name}-id`,
        description,
        inputSchema: schema,
        execute: (input) => Promise.resolve(run(input as Record<string, unknown>)),
      }),
    ]),
  );
}

/** What the model was shown as the answer to each call, in whichever way it was called. */
function answersIn(model: MockLanguageModelV4, turn = 1): string[] {
  const prompt = [...model.doGenerateCalls, ...model.doStreamCalls][turn]?.prompt ?? [];
  return prompt.flatMap((message) => message.role === "tool" ? message.content : [])
    .flatMap((part) => part.type === "tool-result" ? [part.output] : [])
    .map((output) =>
      "value" in output && typeof output.value === "string"
        ? output.value
        : JSON.stringify("value" in output ? output.value : output)
    );
}

for (const stream of [false, true]) {
  testBehaviours({
    name: stream ? "mastra, streaming" : "mastra",
    async run(guard, toolbox, calls) {
      const model = scriptedModel(calls);
      const tools = guardTools(guard, toolsOf(toolbox));
      const agent = new Agent({
        id: "helper",
        name: "helper",
        instructions: "help",
        model: guarded(guard, model),
        tools,
        hooks: guardHooks(guard, { tools }),
      });
      if (stream) {
        const { fullStream } = await agent.stream("go", { maxSteps: 3 });
        for await (const _part of fullStream) { /* the stream drives the agent */ }
      } else {
        await agent.generate("go", { maxSteps: 3 });
      }
      return answersIn(model);
    },
  });
}

function helper(guard: ScriptedGuard, name: string, model: MockLanguageModelV4, rest: object = {}) {
  return new Agent({
    id: name,
    name,
    instructions: "help",
    description: `the agent ${name}`,
    model: guarded(guard, model),
    hooks: guardHooks(guard),
    ...rest,
  });
}

Deno.test("mastra: whoever runs the tool itself gets the denial, with its type", async () => {
  const guard = new ScriptedGuard();
  const tools = guardTools(guard, {
    delete_repository: createTool({
      id: "d",
      description: "deletes",
      execute: () => Promise.resolve("x"),
    }),
  });
  await assert.rejects(async () => await tools.delete_repository.execute?.({}, {} as never), {
    name: "PolicyViolationError",
    message: new RegExp(RULE),
  });
});

Deno.test("mastra: another agent as a tool is asked for by the hooks", async () => {
  const guard = new ScriptedGuard();
  const innerModel = scriptedModel([]);
  const inner = helper(guard, "inner", innerModel);
  const call = { tool: "agent-inner", args: { prompt: "go" } };
  const refusing = Object.assign(new ScriptedGuard(), {
    beforeTool: () => Promise.reject(new Error(`denied by ${RULE}`)),
  });
  const model = scriptedModel([call]);
  await helper(refusing, "outer", model, { agents: { inner } }).generate("go", { maxSteps: 2 });
  assert.equal(innerModel.doGenerateCalls.length + innerModel.doStreamCalls.length, 0);
  assert.match(answersIn(model)[0] ?? "", new RegExp(RULE));
  // The same delegation under a guard that allows it.
  await helper(guard, "outer", scriptedModel([call]), { agents: { inner } })
    .generate("go", { maxSteps: 2 });
  assert.equal(innerModel.doGenerateCalls.length + innerModel.doStreamCalls.length, 1);
  assert.deepEqual(guard.calls.map(({ tool }) => tool), ["agent-inner"]);
});

Deno.test("mastra: what a hook would have to cut something out of is refused whole", async () => {
  const guard = new ScriptedGuard();
  const ran: unknown[] = [];
  const tools = {
    note: createTool({
      id: "note",
      description: "notes",
      inputSchema: z.object({ text: z.string() }),
      execute: (input) => {
        ran.push(input);
        return Promise.resolve(`key ${LEAKED_KEY}`);
      },
    }),
  };
  const leaking = scriptedModel([{ tool: "note", args: { text: LEAKED_KEY } }]);
  await helper(guard, "helper", leaking, { tools }).generate("go", { maxSteps: 2 });
  assert.deepEqual(ran, []);
  assert.match(answersIn(leaking)[0] ?? "", /arguments of tool `note` hold a secret/);
  const model = scriptedModel([{ tool: "note", args: { text: "fine" } }]);
  await helper(guard, "helper", model, { tools }).generate("go", { maxSteps: 2 });
  assert.equal(ran.length, 1);
  const [read = ""] = answersIn(model);
  assert.match(read, /result of tool `note` hold a secret/);
  assert.ok(!read.includes(LEAKED_KEY) && !read.includes(LABEL));
});

Deno.test("mastra: a tool that runs elsewhere is refused until it is named", () => {
  const guard = new ScriptedGuard();
  const elsewhere = createTool({ id: "search", description: "searches" });
  assert.throws(() => guardTools(guard, { elsewhere }), UnguardableToolError);
  const tools = guardTools(guard, { elsewhere }, { unguarded: ["elsewhere"] });
  assert.equal(tools.elsewhere, elsewhere);
});

Deno.test("mastra: a forbidden model is not called", async () => {
  const guard = new ScriptedGuard();
  const model = scriptedModel([], "forbidden-model");
  await assert.rejects(helper(guard, "helper", model).generate("go"), /tools\.llm_call/);
  assert.equal(model.doGenerateCalls.length + model.doStreamCalls.length, 0);
});
