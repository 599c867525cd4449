/**
 * Model Context Protocol: a client that asks before it calls a tool, and a server that asks before a
 * tool runs. Structural types only: the MCP TypeScript SDK is not imported.
 *
 * ```ts ignore
 * guardClient(guard, client); // denials are thrown by `callTool`
 * guardServer(guard, server); // before `connect`; denials are the tool's error result
 * ```
 *
 * Both change the object they are given, so that no unguarded copy is left: on the client every
 * request passes one method, on the server every message passes the transport.
 *
 * @module
 */
import { type Guard, messageOf, shownFailure } from "./guard.ts";
import { type CallId, McpCalls } from "./mcp_calls.ts";

const SOURCE = "mcp";
const CALL = "tools/call";
const TASK_RESULT = "tasks/result";

/** What the adapter reads of a client. */
export interface McpClient {
  /** Where every request of the client passes. */
  readonly request: (request: never, schema: never, options?: never) => Promise<unknown>;
}

/** A request as the SDK sends it. */
interface Request {
  readonly method: string;
  readonly params?: Readonly<Record<string, unknown>>;
}

type Send = (
  request: Request,
  schema: unknown,
  options?: { readonly signal?: AbortSignal },
) => Promise<unknown>;

const GUARDED = new WeakSet<object>();

/**
 * Guards a client in place: `callTool`, task-based calls and raw `tools/call` requests ask before they
 * are sent, and their results before they are returned. A refused call is not sent; the error is thrown.
 *
 * @returns The same client.
 */
export function guardClient<Client extends McpClient>(guard: Guard, client: Client): Client {
  if (GUARDED.has(client)) throw new TypeError("this MCP client is guarded already");
  const send = (client.request as Send).bind(client);
  const tasks = new McpCalls();
  const request: Send = async (request, schema, options) => {
    const signal = options?.signal === undefined ? {} : { signal: options.signal };
    if (request.method === TASK_RESULT) {
      const tool = tasks.toolOf(request.params?.taskId);
      const result = await send(request, schema, options);
      return await shownResult(guard, tool, result, signal);
    }
    if (request.method !== CALL) return await send(request, schema, options);
    const { name, arguments: args = {} } = { ...request.params };
    const tool = String(name);
    const allowed = await guard.beforeTool({ tool, source: SOURCE, args, ...signal });
    const params = allowed === args ? request.params : { ...request.params, arguments: allowed };
    let result: unknown;
    try {
      result = await send({ ...request, params: params ?? {} }, schema, options);
    } catch (error) {
      throw await shownFailure(guard, { tool, source: SOURCE, ...signal }, error);
    }
    const task = taskIn(result);
    if (task !== undefined) {
      tasks.becameTask(task, tool);
      return result;
    }
    return await shownResult(guard, tool, result, signal);
  };
  Object.defineProperty(client, "request", { value: request, writable: true, configurable: true });
  GUARDED.add(client);
  return client;
}

/** What the adapter reads of a transport. */
export interface McpTransport {
  /** Where every message that goes out passes. */
  readonly send: (message: never, options?: never) => Promise<void>;
}

/** What the adapter reads of a server, high-level or low-level. */
export interface McpServer {
  /** Takes the transport that every message passes. */
  readonly connect: (transport: never) => Promise<void>;
  /** Whether it has one already. */
  readonly isConnected?: () => boolean;
}

/**
 * Guards a server in place: every `tools/call` that arrives is asked about before any tool runs, and
 * every result before it is sent. A refused call is answered with the tool's error result, whose text
 * the client's model reads.
 *
 * @param server Not connected yet. Tools may be registered before or after.
 * @returns The same server.
 */
export function guardServer<Server extends McpServer>(guard: Guard, server: Server): Server {
  if (GUARDED.has(server)) throw new TypeError("this MCP server is guarded already");
  if (server.isConnected?.() === true) {
    throw new TypeError("this MCP server is connected already: guard it before `connect`");
  }
  const connect = (server.connect as (transport: McpTransport) => Promise<void>).bind(server);
  const guarded = (transport: McpTransport) => connect(guardServerTransport(guard, transport));
  Object.defineProperty(server, "connect", { value: guarded, writable: true, configurable: true });
  GUARDED.add(server);
  return server;
}

/** A JSON-RPC message, as far as it matters here. */
interface Message {
  readonly id?: CallId;
  readonly method?: string;
  readonly params?: Readonly<Record<string, unknown>>;
  readonly result?: unknown;
  readonly error?: unknown;
}

/** JSON-RPC 2.0 §5.1: a server's own error. */
const REFUSED = -32000;

type OnMessage = (message: Message, extra?: unknown) => void;
type SendMessage = (message: Message, options?: unknown) => Promise<void>;

/**
 * Wraps the transport of a server; {@linkcode guardServer} does it for every transport of a server.
 *
 * @returns The transport to connect the server to. The application goes on using the original, e.g.
 * to hand HTTP requests to it.
 */
export function guardServerTransport<Transport extends McpTransport>(
  guard: Guard,
  transport: Transport,
): Transport {
  const send = (transport.send as SendMessage).bind(transport);
  const calls = new McpCalls();
  const handlers: { onmessage?: OnMessage; onclose?: () => void } = {};
  const receive: OnMessage = (message, extra) => {
    const deliver = (given: Message) => handlers.onmessage?.(given, extra);
    if (message.method === "notifications/cancelled" && calls.giveUp(message.params?.requestId)) {
      return;
    }
    if (message.method !== CALL || message.id === undefined) {
      if (message.method === TASK_RESULT && message.id !== undefined) {
        calls.run(message.id, calls.toolOf(message.params?.taskId));
      }
      deliver(message);
      return;
    }
    void admit(guard, calls, message, message.id, deliver, send);
  };
  return new Proxy(transport, {
    get(target, key) {
      if (key === "onmessage") return handlers.onmessage;
      if (key === "onclose") return handlers.onclose;
      if (key === "send") {
        return (message: Message, options?: unknown) =>
          answer(guard, calls, message, (given) => send(given, options));
      }
      const value: unknown = Reflect.get(target, key, target);
      return typeof value === "function" && !key.toString().startsWith("on")
        ? value.bind(target)
        : value;
    },
    set(target, key, value) {
      if (key === "onmessage") {
        handlers.onmessage = value;
        return Reflect.set(target, key, receive);
      }
      if (key === "onclose") {
        handlers.onclose = value;
        return Reflect.set(target, key, () => {
          calls.end();
          handlers.onclose?.();
        });
      }
      return Reflect.set(target, key, value);
    },
  });
}

/** Asks about one call; delivers it, or answers it here. */
async function admit(
  guard: Guard,
  calls: McpCalls,
  message: Message,
  id: CallId,
  deliver: (message: Message) => void,
  send: SendMessage,
): Promise<void> {
  const { name, arguments: args = {} } = { ...message.params };
  const tool = String(name);
  const signal = calls.hold(id);
  try {
    const allowed = await guard.beforeTool({ tool, source: SOURCE, args, signal });
    // Whoever gave the call up while it was held does not get it run after all.
    if (signal.aborted) return;
    calls.run(id, tool);
    deliver(
      allowed === args
        ? message
        : { ...message, params: { ...message.params, arguments: allowed } },
    );
  } catch (error) {
    if (signal.aborted) return;
    const refusal = { jsonrpc: "2.0", id, result: errorResult(error) };
    // A transport that cannot send any more has nobody left to tell.
    await send(refusal, { relatedRequestId: id }).catch(() => {});
  } finally {
    calls.release(id, signal);
  }
}

/** Asks about the result of a call on its way out. */
async function answer(
  guard: Guard,
  calls: McpCalls,
  message: Message,
  send: (message: Message) => Promise<void>,
): Promise<void> {
  const { id, result } = message;
  if (id === undefined || message.method !== undefined) return await send(message);
  const answered = calls.finish(id);
  if (answered.kind === "given_up") return;
  if (answered.kind === "other") return await send(message);
  const { tool } = answered;
  const task = taskIn(result);
  if (task !== undefined) {
    calls.becameTask(task, tool);
    return await send(message);
  }
  if (result === undefined) return await send(await checkedError(guard, tool, message));
  let shown: unknown;
  try {
    shown = await shownResult(guard, tool, result, {});
  } catch (error) {
    shown = errorResult(error);
  }
  await send(shown === result ? message : { ...message, result: shown });
}

/** A protocol error can carry as much as a result, and the model reads it as well. */
async function checkedError(guard: Guard, tool: string, message: Message): Promise<Message> {
  try {
    const error = await guard.afterTool({ tool, source: SOURCE, result: message.error ?? null });
    return error === message.error ? message : { ...message, error };
  } catch (error) {
    return { ...message, error: { code: REFUSED, message: messageOf(error) } };
  }
}

function errorResult(error: unknown): unknown {
  return { content: [{ type: "text", text: messageOf(error) }], isError: true };
}

/** A result as the model may read it. Pictures and sounds are no text and keep their bytes. */
async function shownResult(
  guard: Guard,
  tool: string,
  result: unknown,
  signal: { readonly signal?: AbortSignal },
): Promise<unknown> {
  const content = contentOf(result);
  const media = content.map(mediaIn);
  const view = media.some((data) => data !== undefined)
    ? { ...Object(result), content: content.map((part, at) => withData(part, media[at], "")) }
    : result;
  const shown = await guard.afterTool({ tool, source: SOURCE, result: view, ...signal });
  if (shown === view) return result;
  const parts = contentOf(shown);
  if (media.every((data) => data === undefined)) return shown;
  return { ...Object(shown), content: parts.map((part, at) => withData(part, media[at])) };
}

function contentOf(result: unknown): readonly unknown[] {
  const content: unknown = Object(result).content;
  return Array.isArray(content) ? content : [];
}

function mediaIn(part: unknown): string | undefined {
  const { type, data } = Object(part);
  return (type === "image" || type === "audio") && typeof data === "string" ? data : undefined;
}

function withData(part: unknown, media: string | undefined, data = media): unknown {
  return media === undefined ? part : { ...Object(part), data };
}

function taskIn(result: unknown): string | undefined {
  const id: unknown = Object(Object(result).task).taskId;
  return typeof id === "string" ? id : undefined;
}
