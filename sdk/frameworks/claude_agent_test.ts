/**
 * Claude Agent SDK, the real package with the program it brings, against a scripted model on loopback.
 *
 * @module
 */
import { createSdkMcpServer, query, tool } from "@anthropic-ai/claude-agent-sdk";
import assert from "node:assert/strict";
import { guardHooks, type Hook } from "../adapters/claude_agent.ts";
import type { Guard } from "../adapters/guard.ts";
import { type AnthropicServer, startAnthropicServer } from "./anthropic_server.ts";
import { testBehaviours } from "./behaviours.ts";
import { LABEL, LEAKED_KEY, ScriptedGuard } from "./scripted_guard.ts";
import { type Call, Toolbox } from "./toolbox.ts";

/** How the agent names the tools of the MCP server `box`. */
const PREFIX = "mcp__box__";

/** A guard that knows the tools by the names they have elsewhere. */
function unprefixed(guard: Guard): Guard {
  const name = (tool: string) => tool.startsWith(PREFIX) ? tool.slice(PREFIX.length) : tool;
  return {
    beforeTool: (call) => guard.beforeTool({ ...call, tool: name(call.tool) }),
    afterTool: (outcome) => guard.afterTool({ ...outcome, tool: name(outcome.tool) }),
    beforeModel: (call) => guard.beforeModel(call),
  };
}

/** Runs the agent to its end; nothing of this user's configuration or credentials is read. */
async function runAgent(guard: Guard, toolbox: Toolbox, server: AnthropicServer): Promise<void> {
  const home = await Deno.makeTempDir();
  const tools = toolbox.specs.map(({ name, description, schema, run }) =>
    tool(name, description, schema.shape, (args) => {
      const answer = run(args);
      const text = typeof answer === "string" ? answer : JSON.stringify(answer);
      return Promise.resolve({ content: [{ type: "text", text }] });
    })
  );
  try {
    const messages = query({
      prompt: "go",
      options: {
        cwd: home,
        model: "claude-demo",
        settingSources: [],
        permissionMode: "bypassPermissions",
        allowDangerouslySkipPermissions: true,
        mcpServers: { box: createSdkMcpServer({ name: "box", tools, alwaysLoad: true }) },
        hooks: guardHooks(unprefixed(guard)),
        env: {
          PATH: "/usr/bin:/bin",
          HOME: home,
          CLAUDE_CONFIG_DIR: `${home}/config`,
          ANTHROPIC_API_KEY: "none",
          ANTHROPIC_BASE_URL: server.url,
          CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: "1",
          DISABLE_AUTOUPDATER: "1",
          // It refuses to skip its own permission prompts as root anywhere else.
          IS_SANDBOX: "1",
        },
      },
    });
    for await (const _message of messages) { /* the stream drives the agent */ }
  } finally {
    await server.stop();
    await Deno.remove(home, { recursive: true });
  }
}

const SANITIZE = { sanitizeOps: false, sanitizeResources: false };

testBehaviours({
  name: "claude agent",
  async run(guard, toolbox, calls) {
    const server = startAnthropicServer(
      calls.map(({ tool, args }) => ({ tool: `${PREFIX}${tool}`, args })),
    );
    await runAgent(guard, toolbox, server);
    return server.answers();
  },
  failure: "ends",
  sanitize: SANITIZE,
});

Deno.test({
  name: "claude agent: the agent's own tools are asked for as well, under their own names",
  ...SANITIZE,
  async fn() {
    const guard = new ScriptedGuard();
    const calls: Call[] = [{
      tool: "Bash",
      args: { command: `echo key ${LEAKED_KEY} | rev | rev` },
    }];
    const server = startAnthropicServer(calls);
    await runAgent(guard, new Toolbox(), server);
    assert.deepEqual(guard.calls.map((call) => call.tool), ["Bash"]);
    // The command ran with a label in the place of the key.
    assert.equal(server.answers()[0]?.trim(), `key ${LABEL}`);
  },
});

/** Runs one hook as the SDK would. */
function call(hook: Hook | undefined, input: Record<string, unknown>) {
  assert.ok(hook !== undefined);
  const signal = new AbortController().signal;
  return hook({ hook_event_name: "PreToolUse", tool_name: "Bash", ...input }, "toolu_1", {
    signal,
  });
}

Deno.test("claude agent: a hook answers with a denial before the SDK would go ahead without it", async () => {
  const guard = new ScriptedGuard();
  const slept: number[] = [];
  const { PreToolUse } = guardHooks(guard, {
    timeout_s: 600,
    sleep: (duration_ms) => Promise.resolve(void slept.push(duration_ms)),
  });
  assert.equal(PreToolUse[0]?.timeout, 600);
  assert.equal(PreToolUse[0]?.onFailure, "block");
  const answer = await call(PreToolUse[0]?.hooks[0], { tool_name: "deploy", tool_input: {} });
  const output = answer.hookSpecificOutput;
  assert.ok(output?.hookEventName === "PreToolUse");
  assert.equal(output.permissionDecision, "deny");
  assert.match(output.permissionDecisionReason ?? "", /no answer within 595000 ms; .*`timeout_s`/);
  assert.deepEqual(slept, [595_000]);
  assert.equal(guard.calls[0]?.signal?.aborted, true, "whoever decides is told");
});

Deno.test("claude agent: an allowed call gets no decision, so the agent's own rules still apply", async () => {
  const { PreToolUse, PostToolUse } = guardHooks(new ScriptedGuard());
  assert.deepEqual(await call(PreToolUse[0]?.hooks[0], { tool_input: { command: "ls" } }), {});
  const redacted = await call(PreToolUse[0]?.hooks[0], { tool_input: { command: LEAKED_KEY } });
  assert.deepEqual(redacted, {
    hookSpecificOutput: { hookEventName: "PreToolUse", updatedInput: { command: LABEL } },
  });
  assert.deepEqual(await call(PostToolUse[0]?.hooks[0], { tool_response: { stdout: "a" } }), {});
});

Deno.test("claude agent: whatever goes wrong in a hook is a denial, and withholds the result", async () => {
  const broken: Guard = {
    beforeTool: () => Promise.reject(new TypeError("broken")),
    afterTool: () => Promise.reject(new TypeError("broken")),
    beforeModel: () => Promise.reject(new TypeError("broken")),
  };
  const { PreToolUse, PostToolUse } = guardHooks(broken);
  const denied = await call(PreToolUse[0]?.hooks[0], { tool_input: {} });
  assert.deepEqual(denied.hookSpecificOutput, {
    hookEventName: "PreToolUse",
    permissionDecision: "deny",
    permissionDecisionReason: "broken",
  });
  const withheld = await call(PostToolUse[0]?.hooks[0], { tool_response: LEAKED_KEY });
  assert.deepEqual(withheld.hookSpecificOutput, {
    hookEventName: "PostToolUse",
    updatedToolOutput: "broken",
  });
  assert.throws(() => guardHooks(broken, { timeout_s: 0 }), /`timeout_s` is `0`/);
});
