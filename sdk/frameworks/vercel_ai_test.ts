/**
 * Vercel AI SDK, the real package, under a scripted model.
 *
 * @module
 */
import assert from "node:assert/strict";
import { generateText, isStepCount, streamText, tool, type ToolSet, wrapLanguageModel } from "ai";
import { MockLanguageModelV4, simulateReadableStream } from "ai/test";
import { z } from "zod";
import { UnguardableToolError } from "../adapters/guard.ts";
import { guardModel, guardTools } from "../adapters/vercel_ai.ts";
import { testBehaviours } from "./behaviours.ts";
import { LABEL, LEAKED_KEY, ScriptedGuard } from "./scripted_guard.ts";
import type { Call, Toolbox } from "./toolbox.ts";

const USAGE = {
  inputTokens: { total: 9, noCache: 9, cacheRead: 0, cacheWrite: 0 },
  outputTokens: { total: 3, text: 3, reasoning: 0 },
};

type Content = Awaited<ReturnType<MockLanguageModelV4["doGenerate"]>>["content"];

/** A model that makes the calls in its first turn and says "done" in its second. */
function scriptedModel(calls: readonly Call[], extra: Content = []): MockLanguageModelV4 {
  let turn = 0;
  const content = (): Content =>
    turn++ === 0 ? [...extra, ...toolCalls(calls)] : [{ type: "text", text: "done" }];
  return new MockLanguageModelV4({
    modelId: "demo-model",
    doGenerate: () => {
      const parts = content();
      const unified = parts[0]?.type === "text" ? "stop" : "tool-calls";
      return Promise.resolve({
        content: parts,
        finishReason: { unified, raw: undefined },
        usage: USAGE,
        warnings: [],
      });
    },
    doStream: () => {
      const parts = content();
      const finish = { unified: parts.length > 0 ? "tool-calls" : "stop", raw: undefined } as const;
      const chunks = parts.flatMap((part) =>
        part.type === "text"
          ? [
            { type: "text-start", id: "1" } as const,
            { type: "text-delta", id: "1", delta: part.text } as const,
            { type: "text-end", id: "1" } as const,
          ]
          : [part as never]
      );
      return Promise.resolve({
        stream: simulateReadableStream({
          chunks: [...chunks, { type: "finish" as const, finishReason: finish, usage: USAGE }],
          initialDelayInMs: null,
          chunkDelayInMs: null,
        }),
      });
    },
  });
}

function toolCalls(calls: readonly Call[]): Content {
  return calls.map(({ tool, args }, index) => ({
    type: "tool-call",
    toolCallId: `call-${index}`,
    toolName: tool,
    input: JSON.stringify(args),
  }));
}

function toolSet(toolbox: Toolbox): ToolSet {
  return Object.fromEntries(
    toolbox.specs.map(({ name, description, schema, run }) => [
      name,
      tool({
        description,
        inputSchema: schema,
        execute: (args) => Promise.resolve(run(args as Record<string, unknown>)),
      }),
    ]),
  );
}

/** What the model was shown as the answer to each call. */
function answersIn(prompt: MockLanguageModelV4["doGenerateCalls"][number]["prompt"]): string[] {
  return prompt.flatMap((message) => message.role === "tool" ? message.content : [])
    .flatMap((part) => part.type === "tool-result" ? [part.output] : [])
    .map((output) =>
      output.type === "text" || output.type === "error-text"
        ? output.value
        : JSON.stringify("value" in output ? output.value : output)
    );
}

testBehaviours({
  name: "vercel ai",
  async run(guard, toolbox, calls) {
    const model = scriptedModel(calls);
    await generateText({
      model: wrapLanguageModel({ model, middleware: guardModel(guard) }),
      tools: guardTools(guard, toolSet(toolbox)),
      prompt: "go",
      stopWhen: isStepCount(3),
    });
    return answersIn(model.doGenerateCalls[1]?.prompt ?? []);
  },
});

testBehaviours({
  name: "vercel ai, streaming",
  async run(guard, toolbox, calls) {
    const model = scriptedModel(calls);
    const { stream } = streamText({
      model: wrapLanguageModel({ model, middleware: guardModel(guard) }),
      tools: guardTools(guard, toolSet(toolbox)),
      prompt: "go",
      stopWhen: isStepCount(3),
    });
    for await (const _part of stream) { /* the stream drives the agent */ }
    return answersIn(model.doStreamCalls[1]?.prompt ?? []);
  },
});

Deno.test("vercel ai: the application gets the denial itself, with its type", async () => {
  const guard = new ScriptedGuard();
  const model = scriptedModel([{ tool: "deploy", args: { environment: "production" } }]);
  const tools = guardTools(guard, {
    deploy: tool({ inputSchema: z.object({ environment: z.string() }), execute: () => "deployed" }),
  });
  const running = generateText({ model, tools, prompt: "go", stopWhen: isStepCount(2) });
  await guard.decide(false);
  const { steps } = await running;
  const failed = steps[0]?.content.find((part) => part.type === "tool-error");
  assert.ok(failed?.type === "tool-error" && failed.error instanceof Error);
  assert.equal(failed.error.name, "PolicyViolationError");
});

for (const declared of ["async generator", "function that is named as streaming"] as const) {
  Deno.test(`vercel ai: a tool that streams (${declared}) goes on streaming, each value redacted`, async () => {
    const guard = new ScriptedGuard();
    let yielded = 0;
    async function* values(): AsyncGenerator<string> {
      for (const value of ["compiling", `env ${LEAKED_KEY}`, "built"]) {
        yielded++;
        yield await Promise.resolve(value);
      }
    }
    const inputSchema = z.object({});
    const build = declared === "async generator"
      ? tool({ inputSchema, execute: values })
      : tool({ inputSchema, execute: () => values() });
    const tools = guardTools(guard, { build }, {
      streaming: declared === "async generator" ? [] : ["build"],
    });
    const model = scriptedModel([{ tool: "build", args: {} }]);
    const { stream } = streamText({ model, tools, prompt: "go", stopWhen: isStepCount(2) });
    const seen: { output: unknown; preliminary: boolean; yielded: number }[] = [];
    for await (const part of stream) {
      if (part.type !== "tool-result") continue;
      seen.push({ output: part.output, preliminary: part.preliminary === true, yielded });
    }
    assert.deepEqual(seen.map((one) => one.output), [
      "compiling",
      `env ${LABEL}`,
      "built",
      "built",
    ]);
    assert.deepEqual(seen.map((one) => one.preliminary), [true, true, true, false]);
    assert.deepEqual(answersIn(model.doStreamCalls[1]?.prompt ?? []), ["built"]);
  });
}

Deno.test("vercel ai: a tool that streams unannounced gives its last value, redacted", async () => {
  const guard = new ScriptedGuard();
  async function* values(): AsyncGenerator<string> {
    yield await Promise.resolve("compiling");
    yield `built with ${LEAKED_KEY}`;
  }
  const tools = guardTools(guard, {
    build: tool({ inputSchema: z.object({}), execute: () => values() }),
  });
  const model = scriptedModel([{ tool: "build", args: {} }]);
  await generateText({ model, tools, prompt: "go", stopWhen: isStepCount(2) });
  assert.deepEqual(answersIn(model.doGenerateCalls[1]?.prompt ?? []), [`built with ${LABEL}`]);
});

Deno.test("vercel ai: the model is asked for before it is called, and a forbidden one is not called", async () => {
  const guard = new ScriptedGuard();
  const allowed = scriptedModel([]);
  const middleware = guardModel(guard);
  await generateText({
    model: wrapLanguageModel({ model: allowed, middleware }),
    prompt: "four word prompt",
  });
  assert.equal(guard.models[0]?.model, "demo-model");
  assert.ok((guard.models[0]?.prompt_tokens ?? 0) > 3);
  const forbidden = new MockLanguageModelV4({ modelId: "forbidden-model" });
  const model = wrapLanguageModel({ model: forbidden, middleware });
  await assert.rejects(
    Promise.resolve(generateText({ model, prompt: "go", maxRetries: 2 })),
    { name: "PolicyViolationError", message: /tools\.llm_call/ },
  );
  assert.equal(forbidden.doGenerateCalls.length, 0);
  assert.equal(guard.models.length, 2, "a denial is not retried");
});

const WEB_SEARCH = {
  type: "provider",
  id: "demo.web_search",
  isProviderExecuted: true,
  args: {},
  inputSchema: z.object({}),
  outputSchema: z.object({}),
} as const;

Deno.test("vercel ai: a tool that its provider runs is refused until it is named", async () => {
  const guard = new ScriptedGuard();
  const tools = { web_search: WEB_SEARCH };
  assert.throws(
    () => guardTools(guard, tools),
    (error) =>
      error instanceof UnguardableToolError && error.tool === "web_search" &&
      /runs at the model's provider.*`unguarded`/.test(error.message),
  );
  assert.equal(guardTools(guard, tools, { unguarded: ["web_search"] }).web_search, WEB_SEARCH);
  // Handed to the framework past the wrapper, it still does not reach the model.
  const model = scriptedModel([]);
  const guarded = wrapLanguageModel({ model, middleware: guardModel(guard) });
  await assert.rejects(
    Promise.resolve(generateText({ model: guarded, tools, prompt: "go" })),
    { name: "UnguardableToolError" },
  );
  assert.equal(model.doGenerateCalls.length, 0);
});

Deno.test("vercel ai: what a provider's tool is reported to have answered is redacted", async () => {
  const guard = new ScriptedGuard();
  const reported: Content = [
    {
      type: "tool-call",
      toolCallId: "p",
      toolName: "web_search",
      input: "{}",
      providerExecuted: true,
    },
    { type: "tool-result", toolCallId: "p", toolName: "web_search", result: { page: LEAKED_KEY } },
  ];
  const model = scriptedModel([], reported);
  const middleware = guardModel(guard, { unguarded: ["web_search"] });
  const { content } = await generateText({
    model: wrapLanguageModel({ model, middleware }),
    tools: { web_search: WEB_SEARCH },
    prompt: "go",
  });
  const result = content.find((part) => part.type === "tool-result");
  assert.deepEqual(result?.type === "tool-result" && result.output, { page: LABEL });
});
