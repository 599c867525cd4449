/**
 * From a path to what answers it.
 *
 * @module
 */

import { type DescMethod, type DescService, fromBinary, toBinary } from "@bufbuild/protobuf";
import type { Message } from "@bufbuild/protobuf";
import { checkedCompression, type Compression } from "../compression.ts";
import type { CallContext, Interceptor, ServiceHandlers, ServiceOptions } from "./types.ts";

/** A method as the dispatcher sees it: message types are gone, bytes come and go. */
export interface Route {
  readonly path: string;
  readonly kind: DescMethod["methodKind"];
  /** The method's descriptor, for forms of its messages other than bytes; a relayed one has none. */
  readonly method: DescMethod | undefined;
  /** Whether handler messages are protobuf-es ones; with a codec of the user's they may not be. */
  readonly reflective: boolean;
  decode(bytes: Uint8Array): unknown;
  encode(message: unknown): Uint8Array;
  /** Takes one message or an async iterable of them, by the kind; returns likewise. */
  handle(input: unknown, context: CallContext): unknown;
  readonly interceptors: readonly Interceptor[];
  /** How response messages travel, until a handler says otherwise. */
  readonly compression: Compression;
}

/** What a server's routes have in common where their service says nothing else. */
export interface RouteDefaults {
  readonly interceptors: readonly Interceptor[];
  readonly compression: Compression;
}

/** `/package.Service/Method`. */
export function pathOf(method: DescMethod): string {
  return `/${method.parent.typeName}/${method.name}`;
}

type AnyHandler = (input: unknown, context: CallContext) => unknown;
type AnyCodec = { decode(bytes: Uint8Array): unknown; encode(message: unknown): Uint8Array };

/**
 * Routes of every method of a service that has a handler.
 *
 * @throws TypeError when a handler or codec names no method of the service, or the compression is
 * unknown
 */
export function routesOf<S extends DescService>(
  service: S,
  handlers: Partial<ServiceHandlers<S>>,
  defaults: RouteDefaults,
  options: ServiceOptions<S>,
): Route[] {
  const by_name = handlers as Readonly<Record<string, AnyHandler | undefined>>;
  const codecs = (options.codecs ?? {}) as Readonly<Record<string, AnyCodec | undefined>>;
  for (const name of [...Object.keys(by_name), ...Object.keys(codecs)]) {
    if (service.methods.some((method) => method.localName === name)) continue;
    throw new TypeError(`service \`${service.typeName}\` has no method \`${name}\``);
  }
  const compression = checkedCompression(options.compression) ?? defaults.compression;
  const all = [...defaults.interceptors, ...(options.interceptors ?? [])];
  const routes: Route[] = [];
  for (const method of service.methods) {
    const handler = by_name[method.localName];
    if (handler === undefined) continue;
    const codec = codecs[method.localName];
    routes.push({
      path: pathOf(method),
      kind: method.methodKind,
      method,
      reflective: codec === undefined,
      decode: codec === undefined
        ? (bytes) => fromBinary(method.input, bytes)
        : (bytes) => codec.decode(bytes),
      encode: codec === undefined
        ? (message) => toBinary(method.output, message as Message)
        : (message) => codec.encode(message),
      handle: (input, context) => handler.call(by_name, input, context),
      interceptors: all,
      compression,
    });
  }
  return routes;
}
