/**
 * Calls over `fetch`, in the Connect protocol: for browsers, edge, Node and Bun. The gateway serves
 * it on `--web-listen`.
 *
 * @module
 */
import {
  create,
  type DescMessage,
  type DescMethodUnary,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf";
import { shownText } from "../../errors.ts";
import { TRANSPORT_LIMITS } from "../limits.ts";
import {
  type GatewayRpc,
  RPC_CODES,
  type RpcAnswer,
  type RpcCode,
  RpcError,
  type RpcTerms,
} from "./rpc.ts";
import { gatewayTarget } from "./target.ts";

/** How to reach a gateway's web listener. */
export interface HttpRpcOptions {
  /** e.g. `https://gateway.example:7391`. */
  readonly url: string;
  /** Lets the credential travel unprotected to another machine. @default false */
  readonly allow_plaintext?: boolean;
  /** What does the fetching. @default the runtime's own */
  readonly fetch?: typeof fetch;
}

/** A {@linkcode GatewayRpc} over `fetch`. */
export class HttpRpc implements GatewayRpc {
  readonly transport = "http";
  readonly #origin: string;
  readonly #fetch: typeof fetch;
  readonly #end = new AbortController();

  /** Takes what it is made of. @throws {ConfigurationError} when the address is not sound. */
  constructor(options: HttpRpcOptions) {
    this.#origin = gatewayTarget(options.url, options.allow_plaintext).origin;
    this.#fetch = options.fetch ?? globalThis.fetch.bind(globalThis);
  }

  /** One POST of one message. Nothing is followed, cached, or sent with the page's cookies. */
  async unary<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    request: MessageInitShape<I>,
    { metadata, timeout_ms, signal }: RpcTerms,
  ): Promise<RpcAnswer<MessageShape<O>>> {
    const deadline = AbortSignal.timeout(timeout_ms);
    const body = toBinary(method.input, create(method.input, request));
    try {
      const response = await this.#fetch(
        `${this.#origin}/${method.parent.typeName}/${method.name}`,
        {
          method: "POST",
          headers: {
            ...metadata,
            "content-type": "application/proto",
            "connect-protocol-version": "1",
            "connect-timeout-ms": String(timeout_ms),
          },
          body: body.slice(),
          redirect: "error",
          credentials: "omit",
          cache: "no-store",
          referrerPolicy: "no-referrer",
          signal: AbortSignal.any([signal, deadline, this.#end.signal]),
        },
      );
      const bytes = await boundedBody(response);
      const type = (response.headers.get("content-type") ?? "").split(";", 1)[0]?.trim();
      if (response.status !== 200 || type !== "application/proto") {
        throw failure(response.status, type ?? "", bytes);
      }
      return {
        message: fromBinary(method.output, bytes),
        trailer: (name) => response.headers.get(`trailer-${name}`) ?? undefined,
      };
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof RpcError) throw error;
      if (deadline.aborted) {
        throw new RpcError("deadline_exceeded", `no answer within ${timeout_ms} ms`, error);
      }
      const why = error instanceof Error ? error.message : String(error);
      throw new RpcError("unavailable", `no answer of ${this.#origin}: ${shownText(why)}`, error);
    }
  }

  /** Ends every call under way. */
  close(): Promise<void> {
    this.#end.abort(new RpcError("canceled", "the client was closed"));
    return Promise.resolve();
  }
}

/** The body, as long as it is no longer than an answer can be. */
async function boundedBody(response: Response): Promise<Uint8Array> {
  const max = TRANSPORT_LIMITS.http_answer_bytes;
  if (response.body === null) return new Uint8Array();
  const parts: Uint8Array[] = [];
  let bytes = 0;
  const reader = response.body.getReader();
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    bytes += part.value.length;
    if (bytes > max) {
      await reader.cancel();
      throw new RpcError("out_of_range", `the answer is longer than ${max} bytes`);
    }
    parts.push(part.value);
  }
  const whole = new Uint8Array(bytes);
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

const CODES: ReadonlySet<string> = new Set(RPC_CODES);
/** Codes by HTTP status, for answers that are not of the protocol (Connect, "HTTP to Error Code"). */
const BY_STATUS: Readonly<Record<number, RpcCode>> = {
  400: "internal",
  401: "unauthenticated",
  403: "permission_denied",
  404: "unimplemented",
  429: "unavailable",
  502: "unavailable",
  503: "unavailable",
  504: "unavailable",
};

function failure(status: number, type: string, bytes: Uint8Array): RpcError {
  if (type === "application/json") {
    try {
      const { code, message }: { code?: unknown; message?: unknown } = JSON.parse(
        new TextDecoder().decode(bytes),
      );
      if (typeof code === "string" && CODES.has(code)) {
        return new RpcError(
          code as RpcCode,
          typeof message === "string" ? shownText(message) : code,
        );
      }
    } catch {
      // Not of the protocol: judged by its status.
    }
  }
  return new RpcError(BY_STATUS[status] ?? "unknown", `the gateway answered with HTTP ${status}`);
}
