/**
 * A loopback server that speaks as much of Anthropic's messages API as the Claude Agent SDK's program
 * needs, with a scripted model behind it.
 *
 * @module
 */
import type { Call } from "./toolbox.ts";

/** A tool's answer as the model was sent it. */
interface ToolResultBlock {
  readonly type: "tool_result";
  readonly tool_use_id: string;
  readonly content?: string | readonly { readonly type: string; readonly text?: string }[];
}

interface MessagesRequest {
  readonly model: string;
  readonly stream?: boolean;
  readonly tools?: readonly unknown[];
  readonly messages: readonly { readonly content: string | readonly { readonly type: string }[] }[];
}

/** The running server. */
export interface AnthropicServer {
  readonly url: string;
  /** What the model was sent as the answer to each call, in the order of the calls. */
  readonly answers: () => string[];
  /** How often the model was called with tools to use. */
  readonly turns: () => number;
  readonly stop: () => Promise<void>;
}

/** Starts a server whose model makes `calls` in one turn, and says "done" once they are answered. */
export function startAnthropicServer(calls: readonly Call[]): AnthropicServer {
  const requests: MessagesRequest[] = [];
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen() {} }, async (request) => {
    if (new URL(request.url).pathname !== "/v1/messages") {
      await request.body?.cancel();
      return new Response("{}", { status: 404 });
    }
    const asked: MessagesRequest = await request.json();
    requests.push(asked);
    const acts = (asked.tools ?? []).length > 0 && resultsIn(asked).length === 0;
    const blocks = acts ? calls.map(toolUse) : [{ type: "text", text: "done" } as const];
    return reply(asked, blocks, acts ? "tool_use" : "end_turn");
  });
  return {
    url: `http://127.0.0.1:${server.addr.port}`,
    turns: () => requests.filter((one) => (one.tools ?? []).length > 0).length,
    answers() {
      const results = requests.map(resultsIn).findLast((list) => list.length > 0) ?? [];
      return calls.map((_call, index) => {
        const result = results.find((one) => one.tool_use_id === idOf(index));
        const content = result?.content ?? "";
        return typeof content === "string"
          ? content
          : content.map((part) => part.text ?? "").join("\n");
      });
    },
    stop: () => server.shutdown(),
  };
}

function resultsIn({ messages }: MessagesRequest): ToolResultBlock[] {
  return messages.flatMap(({ content }) => typeof content === "string" ? [] : content)
    .filter((block): block is ToolResultBlock => block.type === "tool_result");
}

function idOf(index: number): string {
  return `toolu_${index}`;
}

type Block =
  | { readonly type: "text"; readonly text: string }
  | {
    readonly type: "tool_use";
    readonly id: string;
    readonly name: string;
    readonly input: unknown;
  };

function toolUse({ tool, args }: Call, index: number): Block {
  return { type: "tool_use", id: idOf(index), name: tool, input: args };
}

/** A whole message, or the events it is streamed as. */
function reply(asked: MessagesRequest, blocks: readonly Block[], stop_reason: string): Response {
  const message = {
    ...{ id: "msg_1", type: "message", role: "assistant", model: asked.model },
    ...{ stop_sequence: null, usage: { input_tokens: 1, output_tokens: 1 } },
  };
  if (asked.stream !== true) return Response.json({ ...message, content: blocks, stop_reason });
  const events = [
    { type: "message_start", message: { ...message, content: [], stop_reason: null } },
    ...blocks.flatMap((block, index) => [
      {
        type: "content_block_start",
        index,
        content_block: block.type === "text" ? { ...block, text: "" } : { ...block, input: {} },
      },
      {
        type: "content_block_delta",
        index,
        delta: block.type === "text"
          ? { type: "text_delta", text: block.text }
          : { type: "input_json_delta", partial_json: JSON.stringify(block.input) },
      },
      { type: "content_block_stop", index },
    ]),
    {
      type: "message_delta",
      delta: { stop_reason, stop_sequence: null },
      usage: { output_tokens: 1 },
    },
    { type: "message_stop" },
  ];
  const text = events.map((event) => `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`);
  return new Response(text.join(""), { headers: { "content-type": "text/event-stream" } });
}
