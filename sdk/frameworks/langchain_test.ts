/**
 * LangChain.js and LangGraph, the real packages, under a scripted chat model.
 *
 * @module
 */
import assert from "node:assert/strict";
import { BaseChatModel } from "@langchain/core/language_models/chat_models";
import { AIMessage, AIMessageChunk, type BaseMessage, ToolMessage } from "@langchain/core/messages";
import { ChatGenerationChunk, type ChatResult } from "@langchain/core/outputs";
import { RunnableLambda } from "@langchain/core/runnables";
import { StructuredTool, tool } from "@langchain/core/tools";
import { Command } from "@langchain/langgraph";
import { createReactAgent, ToolNode } from "@langchain/langgraph/prebuilt";
import { z } from "zod";
import { UnguardableToolError } from "../adapters/guard.ts";
import { guardModel, guardTool, guardTools } from "../adapters/langchain.ts";
import { testBehaviours } from "./behaviours.ts";
import { LABEL, LEAKED_KEY, RULE, ScriptedGuard } from "./scripted_guard.ts";
import type { Call, Toolbox } from "./toolbox.ts";

/** Makes the calls in its first turn and says "done" in its second. */
class ScriptedChatModel extends BaseChatModel {
  /** What it was sent, turn by turn. */
  readonly seen: BaseMessage[][] = [];
  constructor(readonly calls: readonly Call[], readonly model = "demo-model") {
    super({});
  }
  override _llmType(): string {
    return "scripted";
  }
  override bindTools(): this {
    return this;
  }
  override _generate(messages: BaseMessage[]): Promise<ChatResult> {
    const message = new AIMessage(this.#turn(messages));
    return Promise.resolve({ generations: [{ text: "", message }] });
  }
  override async *_streamResponseChunks(
    messages: BaseMessage[],
  ): AsyncGenerator<ChatGenerationChunk> {
    const { content, tool_calls = [] } = this.#turn(messages);
    const tool_call_chunks = tool_calls.map(({ name, args, id }, index) => ({
      ...{ name, id, index, args: JSON.stringify(args), type: "tool_call_chunk" as const },
    }));
    const message = new AIMessageChunk({ content, tool_call_chunks });
    yield await Promise.resolve(new ChatGenerationChunk({ text: content, message }));
  }
  #turn(messages: BaseMessage[]) {
    this.seen.push(messages);
    if (this.seen.length > 1) return { content: "done" };
    const tool_calls = this.calls.map(({ tool: name, args }, index) => ({
      ...{ name, args: { ...args }, id: `call-${index}`, type: "tool_call" as const },
    }));
    return { content: "", tool_calls };
  }
}

function toolsOf(toolbox: Toolbox) {
  return toolbox.specs.map(({ name, description, schema, run }) =>
    tool((args) => Promise.resolve(run(args)), { name, description, schema })
  );
}

function answersIn(messages: readonly BaseMessage[] = []): string[] {
  return messages.filter((message) => message.getType() === "tool").map(({ content }) =>
    typeof content === "string" ? content : JSON.stringify(content)
  );
}

testBehaviours({
  name: "langgraph agent",
  async run(guard, toolbox, calls) {
    const model = new ScriptedChatModel(calls);
    const agent = createReactAgent({
      llm: guardModel(guard, model),
      tools: guardTools(guard, toolsOf(toolbox)),
    });
    await agent.invoke({ messages: [{ role: "user", content: "go" }] });
    return answersIn(model.seen[1]);
  },
});

testBehaviours({
  name: "langgraph agent, streaming",
  async run(guard, toolbox, calls) {
    const model = new ScriptedChatModel(calls);
    const agent = createReactAgent({
      llm: guardModel(guard, model),
      tools: guardTools(guard, toolsOf(toolbox)),
    });
    const steps = await agent.stream({ messages: [{ role: "user", content: "go" }] }, {
      streamMode: ["messages", "updates"],
    });
    for await (const _step of steps) { /* the stream drives the agent */ }
    return answersIn(model.seen[1]);
  },
});

testBehaviours({
  name: "langchain tool node",
  async run(guard, toolbox, calls) {
    const tool_calls = calls.map(({ tool: name, args }, index) => ({
      ...{ name, args: { ...args }, id: `call-${index}`, type: "tool_call" as const },
    }));
    const node = new ToolNode(guardTools(guard, toolsOf(toolbox)));
    return answersIn(await node.invoke([new AIMessage({ content: "", tool_calls })]));
  },
});

Deno.test("langchain: whoever calls the tool itself gets the denial, with its type", async () => {
  const guard = new ScriptedGuard();
  let ran = 0;
  const [guarded] = guardTools(guard, [
    tool(() => `ran ${ran++}`, { name: "delete_repository", schema: z.object({}) }),
  ]);
  const refused = { name: "PolicyViolationError", message: new RegExp(RULE) };
  await assert.rejects(async () => await guarded?.invoke({}), refused);
  await assert.rejects(async () => await guarded?.batch([{}, {}]), refused);
  await assert.rejects(async () => {
    for await (const _chunk of await guarded?.stream({}) ?? []) { /* nothing comes */ }
  }, refused);
  await assert.rejects(async () => await guarded?.call({}), refused);
  await assert.rejects(async () => await guarded?.withConfig({ tags: ["t"] }).invoke({}), refused);
  assert.equal(ran, 0);
  assert.ok(guarded instanceof StructuredTool, "the framework still knows its own");
});

Deno.test("langchain: callbacks and traces see labels as well", async () => {
  const guard = new ScriptedGuard();
  const told: string[] = [];
  const guarded = guardTool(
    guard,
    tool(({ text }) => `${text} and ${LEAKED_KEY}`, {
      name: "note",
      schema: z.object({ text: z.string() }),
    }),
  );
  await guarded.invoke({ text: LEAKED_KEY }, {
    callbacks: [{
      handleToolStart: (_tool, input) => void told.push(JSON.stringify(input)),
      handleToolEnd: (output) => void told.push(JSON.stringify(output)),
    }],
  });
  assert.equal(told.length, 2);
  assert.ok(told.every((text) => text.includes(LABEL) && !text.includes(LEAKED_KEY)), told.join());
});

Deno.test("langchain: a tool that streams its progress goes on streaming, each event redacted", async () => {
  const guard = new ScriptedGuard();
  const guarded = guardTool(
    guard,
    tool(
      async function* () {
        yield await Promise.resolve("compiling");
        yield { env: LEAKED_KEY };
        return `built with ${LEAKED_KEY}`;
      },
      { name: "build", schema: z.object({}) },
    ),
  );
  const events: unknown[] = [];
  const result = await guarded.invoke({}, {
    callbacks: [{ handleToolEvent: (event: unknown) => void events.push(event) }],
  });
  assert.deepEqual(events, ["compiling", { env: LABEL }]);
  assert.equal(result, `built with ${LABEL}`);
});

Deno.test("langchain: the artifact passes as it is, the content is redacted", async () => {
  const guard = new ScriptedGuard();
  const artifact = { rows: new Map([[1, LEAKED_KEY]]) };
  const guarded = guardTool(
    guard,
    tool(() => [`found ${LEAKED_KEY}`, artifact], {
      name: "query",
      schema: z.object({}),
      responseFormat: "content_and_artifact",
    }),
  );
  const message: ToolMessage = await guarded.invoke({
    ...{ type: "tool_call", name: "query", id: "1", args: {} },
  });
  assert.equal(message.content, `found ${LABEL}`);
  assert.equal(message.artifact, artifact);
});

Deno.test("langchain: messages and commands that a tool makes itself are redacted, also as stored", async () => {
  const guard = new ScriptedGuard();
  const message = () => new ToolMessage({ content: `key ${LEAKED_KEY}`, tool_call_id: "1" });
  const direct = guardTool(guard, tool(message, { name: "direct", schema: z.object({}) }));
  const commanding = guardTool(
    guard,
    tool(() => new Command({ update: { note: LEAKED_KEY, messages: [message()] }, goto: "next" }), {
      name: "commanding",
      schema: z.object({}),
    }),
  );
  const call = { type: "tool_call", id: "1", args: {} } as const;
  const results = [
    await direct.invoke({ ...call, name: "direct" }),
    await commanding.invoke({ ...call, name: "commanding" }),
  ];
  assert.ok(results[0] instanceof ToolMessage);
  assert.ok(results[1] instanceof Command && results[1].goto[0] === "next");
  for (const result of results) {
    const stored = JSON.stringify(result);
    assert.ok(stored.includes(LABEL) && !stored.includes(LEAKED_KEY), stored);
    const everything = Deno.inspect(result, { depth: 20 });
    assert.ok(!everything.includes(LEAKED_KEY), everything);
  }
});

Deno.test("langchain: a runnable used as a tool is guarded by the same rules", async () => {
  const guard = new ScriptedGuard();
  const told: unknown[] = [];
  const runnable = RunnableLambda.from(({ text }: { text: string }) => {
    told.push(text);
    return `${text} ${LEAKED_KEY}`;
  }).asTool({ name: "note", description: "notes", schema: z.object({ text: z.string() }) });
  const [guarded] = guardTools(guard, [runnable]);
  assert.equal(await guarded?.invoke({ text: LEAKED_KEY }), `${LABEL} ${LABEL}`);
  assert.deepEqual(told, [LABEL]);
});

Deno.test("langchain: a subclass that answers in its own `invoke` is still shown to the policy", async () => {
  const guard = new ScriptedGuard();
  const guarded = guardTool(guard, {
    name: "note",
    invoke: ({ text }: { text: string }) => Promise.resolve(`${text} ${LEAKED_KEY}`),
  });
  assert.equal(await guarded.invoke({ text: "a" }), `a ${LABEL}`);
});

Deno.test("langchain: a tool that its provider runs is refused until it is named", () => {
  const guard = new ScriptedGuard();
  const search = { type: "web_search_20250305", name: "web_search" };
  assert.throws(() => guardTools(guard, [search]), UnguardableToolError);
  assert.deepEqual(guardTools(guard, [search], { unguarded: ["web_search"] }), [search]);
});

Deno.test("langchain: the model is asked for before it is called, and a forbidden one is not called", async () => {
  const guard = new ScriptedGuard();
  const allowed = new ScriptedChatModel([]);
  await guardModel(guard, allowed).bindTools().invoke("four word prompt");
  assert.equal(allowed.seen.length, 1);
  assert.equal(guard.models[0]?.model, "demo-model");
  const forbidden = new ScriptedChatModel([], "forbidden-model");
  const refused = { name: "PolicyViolationError", message: /tools\.llm_call/ };
  await assert.rejects(guardModel(guard, forbidden).invoke("go"), refused);
  await assert.rejects(async () => {
    for await (const _chunk of await guardModel(guard, forbidden).stream("go")) { /* none */ }
  }, refused);
  assert.deepEqual(forbidden.seen, []);
});
