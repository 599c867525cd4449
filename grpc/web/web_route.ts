/**
 * A method as a web protocol reaches it: the same handler and interceptors, its messages in JSON
 * where the caller asked for it.
 *
 * @module
 */

import {
  type DescMessage,
  fromBinary,
  fromJsonString,
  type Message,
  type Registry,
  toBinary,
  toJsonString,
} from "@bufbuild/protobuf";
import { Code } from "../code.ts";
import { GrpcError } from "../grpc_error.ts";
import type { Route } from "../server/route.ts";
import type { WebProtocol } from "./protocol.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true });

/** Routes as web protocols need them, each made once. */
export class WebRoutes {
  readonly #json = new WeakMap<Route, Route>();
  readonly #connect = new WeakMap<Route, Route>();
  readonly #registry: Registry | undefined;

  /** @param registry what `google.protobuf.Any` may hold in JSON */
  constructor(registry: Registry | undefined) {
    this.#registry = registry;
  }

  /** The route a request of a protocol is answered through. */
  of(route: Route, protocol: WebProtocol): Route {
    if (protocol.codec === "json") {
      return cached(this.#json, route, () => jsonRoute(route, this.#registry));
    }
    return protocol.kind === "grpc_web" ? route : cached(this.#connect, route, () => ({
      ...route,
      decode: (bytes) => asked(() => route.decode(bytes)),
    }));
  }
}

function cached(routes: WeakMap<Route, Route>, route: Route, make: () => Route): Route {
  const known = routes.get(route);
  if (known !== undefined) return known;
  const made = make();
  routes.set(route, made);
  return made;
}

/** What a caller sent wrong is its mistake, where the protocol has words for it. */
function asked<T>(decode: () => T): T {
  try {
    return decode();
  } catch (reason) {
    const text = reason instanceof Error ? reason.message : "not a message";
    throw new GrpcError(`failed to decode request: ${text}`, Code.INVALID_ARGUMENT);
  }
}

/**
 * The same method with messages in protobuf's JSON. Unknown fields are ignored, as they are in
 * bytes: a page of tomorrow may call the server of today. Methods with a codec of the user's go
 * through bytes, because their messages need not be protobuf-es ones.
 */
function jsonRoute(route: Route, registry: Registry | undefined): Route {
  const options = registry === undefined ? {} : { registry };
  if (route.method === undefined) throw new TypeError("a relayed method has no messages to read");
  const { input, output }: { input: DescMessage; output: DescMessage } = route.method;
  const read = (bytes: Uint8Array): Message =>
    asked(() =>
      fromJsonString(input, decoder.decode(bytes), { ...options, ignoreUnknownFields: true })
    );
  const write = (message: Message): Uint8Array =>
    encoder.encode(toJsonString(output, message, options));
  if (route.reflective) {
    return { ...route, decode: read, encode: (message) => write(message as Message) };
  }
  return {
    ...route,
    decode: (bytes) => route.decode(toBinary(input, read(bytes))),
    encode: (message) => write(fromBinary(output, route.encode(message))),
  };
}
