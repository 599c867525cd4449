/**
 * The agent: the Vercel AI SDK's own loop over a scripted model. Three lines of it are governance:
 * the two wrappers, and the guard they take.
 *
 * @module
 */
import { generateText, isStepCount, type ModelMessage, type ToolSet, wrapLanguageModel } from "ai";
import { MockLanguageModelV4 } from "ai/test";
import type { Guard } from "../../sdk/adapters/mod.ts";
import { guardModel, guardTools } from "../../sdk/adapters/vercel_ai.ts";

/** What the model does in one turn. */
export interface Turn {
  readonly tool: string;
  readonly args: Readonly<Record<string, unknown>>;
  /** Happens after the model was asked and before the tool is called. */
  readonly meanwhile?: () => Promise<void>;
}

/** What the model read of a tool it called. */
export interface Reading {
  readonly tool: string;
  readonly text: string;
  /** Whether the framework told the model of a failure. */
  readonly failed: boolean;
}

/** One run of the agent. */
export interface AgentRun {
  readonly readings: readonly Reading[];
  /** The model's last words; absent when the run ended before. */
  readonly answer?: string;
  /** Why the run ended before. */
  readonly error?: unknown;
  /** The conversation so far, to go on from. */
  readonly messages: readonly ModelMessage[];
}

/**
 * Lets the agent work until its model has nothing more to do.
 *
 * @param onTurn Told what the model read, tool by tool.
 */
export async function runAgent(
  guard: Guard,
  tools: ToolSet,
  turns: readonly Turn[],
  messages: readonly ModelMessage[],
  onTurn: (reading: Reading) => Promise<void>,
): Promise<AgentRun> {
  const guarded = guardTools(guard, tools);
  const model = wrapLanguageModel({
    model: scriptedModel(turns),
    middleware: guardModel(guard, { tools: guarded }),
  });
  const readings: Reading[] = [];
  let said: readonly ModelMessage[] = [];
  try {
    const { text } = await generateText({
      model,
      tools: guarded,
      messages: [...messages],
      stopWhen: isStepCount(turns.length + 1),
      maxRetries: 0,
      onStepFinish: async ({ content, response }) => {
        said = response.messages;
        for (const part of content) {
          if (part.type !== "tool-result" && part.type !== "tool-error") continue;
          const failed = part.type === "tool-error";
          const read = failed ? messageOf(part.error) : String(part.output);
          const reading = { tool: part.toolName, text: read, failed };
          readings.push(reading);
          await onTurn(reading);
        }
      },
    });
    return { readings, answer: text, messages: [...messages, ...said] };
  } catch (error) {
    return { readings, error, messages: [...messages, ...said] };
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

const USAGE = {
  inputTokens: { total: 40, noCache: 40, cacheRead: 0, cacheWrite: 0 },
  outputTokens: { total: 10, text: 10, reasoning: 0 },
};

/** Calls one tool a turn, then says it is done. */
function scriptedModel(turns: readonly Turn[]): MockLanguageModelV4 {
  let at = 0;
  return new MockLanguageModelV4({
    provider: "script",
    modelId: "demo-model",
    doGenerate: async () => {
      const turn = turns[at++];
      await turn?.meanwhile?.();
      return {
        content: turn === undefined ? [{ type: "text", text: "I have done what I may." }] : [{
          type: "tool-call",
          toolCallId: `call-${at}`,
          toolName: turn.tool,
          input: JSON.stringify(turn.args),
        }],
        finishReason: { unified: turn === undefined ? "stop" : "tool-calls", raw: undefined },
        usage: USAGE,
        warnings: [],
      };
    },
  });
}
