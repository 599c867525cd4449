/**
 * A small in-process tool server that speaks the Model Context Protocol's JSON-RPC: `initialize`,
 * `tools/list`, `tools/call`. Its tools really act; its log shows which calls reached it.
 *
 * @module
 */

/** One tool call as the server received it. */
export interface ToolInvocation {
  /** JSON-RPC id; the demo uses the number of the step. */
  readonly step: number;
  readonly tool: string;
  /** Arguments as JSON text. */
  readonly args: string;
}

/** What a tool does with its arguments: text for the model. */
export type Tool = (args: Readonly<Record<string, unknown>>) => Promise<string> | string;

interface RpcRequest {
  readonly jsonrpc: "2.0";
  readonly id: number;
  readonly method: string;
  readonly params?: {
    readonly name?: string;
    readonly arguments?: Readonly<Record<string, unknown>>;
  };
}

type RpcAnswer =
  | { readonly result: unknown }
  | { readonly error: { readonly code: number; readonly message: string } };

/** JSON-RPC 2.0 §5.1. */
const METHOD_NOT_FOUND = -32601;
const INVALID_PARAMS = -32602;

/** The server. Takes and gives JSON text, as a transport would. */
export class ToolServer {
  /** Every call that arrived, in order. */
  readonly invocations: ToolInvocation[] = [];
  readonly #tools: ReadonlyMap<string, Tool>;

  constructor(tools: Readonly<Record<string, Tool>>) {
    this.#tools = new Map(Object.entries(tools));
  }

  /** Answers one JSON-RPC request. */
  async handle(text: string): Promise<string> {
    const request: RpcRequest = JSON.parse(text);
    const answer = await this.#answer(request);
    return JSON.stringify({ jsonrpc: "2.0", id: request.id, ...answer });
  }

  async #answer(request: RpcRequest): Promise<RpcAnswer> {
    switch (request.method) {
      case "initialize":
        return {
          result: {
            protocolVersion: "2025-06-18",
            capabilities: { tools: {} },
            serverInfo: { name: "demo-tools", version: "1.0.0" },
          },
        };
      case "tools/list":
        return {
          result: {
            tools: [...this.#tools.keys()].map((name) => ({
              name,
              inputSchema: { type: "object" },
            })),
          },
        };
      case "tools/call":
        return await this.#call(request);
      default:
        return { error: { code: METHOD_NOT_FOUND, message: `no method \`${request.method}\`` } };
    }
  }

  async #call({ id, params }: RpcRequest): Promise<RpcAnswer> {
    const name = params?.name ?? "";
    const args = params?.arguments ?? {};
    const tool = this.#tools.get(name);
    if (tool === undefined) {
      return { error: { code: INVALID_PARAMS, message: `no tool \`${name}\`` } };
    }
    this.invocations.push({ step: id, tool: name, args: JSON.stringify(args) });
    return { result: { content: [{ type: "text", text: await tool(args) }] } };
  }
}

/** Names of the tools a server offers. */
export async function listTools(server: ToolServer): Promise<string[]> {
  const answer = await call(server, { jsonrpc: "2.0", id: 0, method: "tools/list" });
  const { tools } = answer as { tools: { name: string }[] };
  return tools.map((tool) => tool.name);
}

/**
 * Calls a tool.
 *
 * @returns The text of its answer.
 * @throws {Error} with the server's message when it refuses.
 */
export async function callTool(
  server: ToolServer,
  step: number,
  name: string,
  args: Readonly<Record<string, unknown>>,
): Promise<string> {
  const params = { name, arguments: args };
  const answer = await call(server, { jsonrpc: "2.0", id: step, method: "tools/call", params });
  const { content } = answer as { content: { text: string }[] };
  return content.map((part) => part.text).join("\n");
}

async function call(server: ToolServer, request: RpcRequest): Promise<unknown> {
  const answer: Partial<{ result: unknown; error: { message: string } }> = JSON.parse(
    await server.handle(JSON.stringify(request)),
  );
  if (answer.error !== undefined) throw new Error(`tool server: ${answer.error.message}`);
  return answer.result;
}
