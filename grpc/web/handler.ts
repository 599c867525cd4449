/**
 * gRPC-Web and Connect for a server's services, as a handler of `Deno.serve`.
 *
 * @module
 */

import { MethodOptions_IdempotencyLevel as Idempotency } from "@bufbuild/protobuf/wkt";
import type { Refusal } from "../bounds.ts";
import { Code } from "../code.ts";
import { GrpcError } from "../grpc_error.ts";
import type { Peer } from "../peer.ts";
import { countRefused } from "../server/accounting.ts";
import type { CallHead } from "../server/call_context.ts";
import { judgeCall, type RequestHead } from "../server/request_head.ts";
import type { GrpcServer } from "../server/server.ts";
import { AccessRules, exposeTo, type HttpRefusal, isLoopbackAddress } from "./access.ts";
import { WebCalls } from "./calls.ts";
import type { WebOptions } from "./options.ts";
import { methodNotAllowed, protocolOf, type WebProtocol } from "./protocol.ts";
import { type CarriedRequest, readRequest } from "./request.ts";
import { responseForm } from "./response_form.ts";
import { WebRoutes } from "./web_route.ts";

/** What `Deno.serve` calls. */
export type WebHandler = (request: Request, info: Deno.ServeHandlerInfo) => Promise<Response>;

const encoder = new TextEncoder();

/**
 * A handler that lets browsers, and clients without HTTP/2 trailers, call a server's services: the
 * same handlers, interceptors, bounds and counters as over gRPC. It speaks gRPC-Web (binary, text
 * and JSON) and Connect (unary by POST and, for methods without side effects, GET; streams), and
 * ends with the server: `server.shutdown()` lets its calls finish.
 *
 * The runtime's HTTP server keeps the connections: their number, slow headers and unread responses
 * of up to 64 KiB are bounded by it, not by this module. Put a proxy before a handler that faces
 * the open network.
 *
 * @throws TypeError when an origin, host or header name of the options is not one, or the server
 * is shut down
 */
export function createWebHandler(server: GrpcServer, options: WebOptions = {}): WebHandler {
  const calls = WebCalls.of(server);
  const access = new AccessRules(options);
  const routes = new WebRoutes(options.registry);
  const handler = new Handler(calls, access, routes);
  return async (request, info) => {
    try {
      return await handler.handle(request, info);
    } catch (reason) {
      calls.emit?.({ type: "internal_error", reason });
      return new Response(null, { status: 500 });
    }
  };
}

class Handler {
  readonly #calls: WebCalls;
  readonly #access: AccessRules;
  readonly #routes: WebRoutes;

  constructor(calls: WebCalls, access: AccessRules, routes: WebRoutes) {
    this.#calls = calls;
    this.#access = access;
    this.#routes = routes;
  }

  async handle(request: Request, info: Deno.ServeHandlerInfo): Promise<Response> {
    const url = new URL(request.url);
    const peer = peerOf(info.remoteAddr, url);
    const loopback = info.remoteAddr.transport === "tcp" &&
      isLoopbackAddress(info.remoteAddr.hostname);
    const access = this.#access.judge(request.headers, url, loopback);
    if (!access.allowed) return this.#refuse(request, peer, access, undefined);
    if (request.method === "OPTIONS" && access.origin !== undefined) {
      drop(request);
      return this.#access.preflight(access.origin);
    }
    const protocol = protocolOf(request.method, request.headers, url);
    if ("status" in protocol) return this.#refuse(request, peer, protocol, access.origin);
    const response = await this.#call(request, url, protocol, peer);
    exposeTo(access.origin, response.headers);
    response.headers.set("x-content-type-options", "nosniff");
    return response;
  }

  /** Answers a request whose protocol is known. */
  async #call(
    request: Request,
    url: URL,
    protocol: WebProtocol,
    peer: Peer,
  ): Promise<Response> {
    const closed = this.#calls.closedFor;
    if (closed !== undefined) {
      if (closed === "full") countRefused(this.#calls, "web_calls", peer);
      drop(request);
      const text = closed === "full"
        ? "too many calls: retry later"
        : "the server is shutting down";
      return this.#fail(protocol, new GrpcError(text, Code.UNAVAILABLE));
    }
    const carried = readRequest(request, url, protocol, this.#calls.bounds);
    const head = "code" in carried
      ? { ...carried, kind: "status" as const, path: url.pathname, accept_encoding: false }
      : judgeCall(carried.asked, this.#calls.routes);
    if (head.kind === "status") return this.#refuseCall(request, protocol, peer, head);
    const unfit = unfitFor(head, request.method, protocol);
    if (unfit !== undefined) return this.#refuse(request, peer, unfit, undefined);
    const { body, compressed } = carried as CarriedRequest;
    return await this.#calls.open({
      head: { ...head, route: this.#routes.of(head.route, protocol) },
      protocol,
      compressed,
      body,
      peer,
      signal: () => request.signal,
    });
  }

  /** Answers in the request's protocol that no call is made for it. */
  #refuseCall(
    request: Request,
    protocol: WebProtocol,
    peer: Peer,
    { code, text, refusal }: RequestHead & { kind: "status" },
  ): Response {
    drop(request);
    countRefused(this.#calls, refusal, peer);
    const response = this.#fail(protocol, new GrpcError(text, code));
    if (refusal !== "unknown_method" || protocol.kind !== "connect_unary") return response;
    // As any HTTP server answers a path it does not know; the body says the same as ever.
    return new Response(response.body, { status: 404, headers: response.headers });
  }

  #fail(protocol: WebProtocol, error: GrpcError): Response {
    const form = responseForm(protocol, this.#calls.bounds);
    const end = { error, trailers: undefined };
    const { status, headers, body } = form.whole(undefined, undefined, end);
    return new Response(body, { status, headers });
  }

  /** Answers in plain HTTP. */
  #refuse(
    request: Request,
    peer: Peer,
    { status, refusal, text, headers: extra }: HttpRefusal,
    origin: string | undefined,
  ): Response {
    drop(request);
    countRefused(this.#calls, refusal satisfies Refusal, peer);
    const headers = new Headers({ ...extra, "content-type": "text/plain" });
    exposeTo(origin, headers);
    headers.set("x-content-type-options", "nosniff");
    return new Response(encoder.encode(`${text}\n`), { status, headers });
  }
}

/** Why a method cannot be called the way it was asked for. */
function unfitFor(
  { route }: CallHead,
  http_method: string,
  protocol: WebProtocol,
): HttpRefusal | undefined {
  if (http_method === "GET" && route.method?.idempotency !== Idempotency.NO_SIDE_EFFECTS) {
    return methodNotAllowed("POST");
  }
  if (protocol.kind === "grpc_web") return undefined;
  const unary = route.kind === "unary";
  if (unary === (protocol.kind === "connect_unary")) return undefined;
  const text = unary
    ? "the method is unary: its content types are `application/proto` and `application/json`"
    : "the method streams: its content types are `application/connect+proto` and `+json`";
  return { status: 415, refusal: "content_type", text };
}

/** Tells the runtime that nobody will read the body. */
function drop(request: Request): void {
  request.body?.cancel().catch(() => {}); // The peer may be gone already.
}

function peerOf(address: Deno.Addr, url: URL): Peer {
  if (address.transport === "tcp") {
    const host = address.hostname.includes(":") ? `[${address.hostname}]` : address.hostname;
    const transport = url.protocol === "https:" ? "tls" : "tcp";
    return { transport, address: `${host}:${address.port}` };
  }
  const path = address.transport === "unix" ? address.path : "";
  return { transport: "unix", address: path };
}
