/**
 * Calls over gRPC, on Deno.
 *
 * @module
 */
import type {
  DescMessage,
  DescMethodUnary,
  MessageInitShape,
  MessageShape,
} from "@bufbuild/protobuf";
import { Channel, type ChannelTls, createClient, GrpcError, Metadata } from "@agent-assembly/grpc";
import { ConfigurationError, shownText } from "../../errors.ts";
import { type GatewayRpc, RPC_CODES, type RpcAnswer, RpcError, type RpcTerms } from "./rpc.ts";
import { gatewayTarget } from "./target.ts";

/** How to reach a gateway's gRPC listener. */
export interface GrpcRpcOptions {
  /** `http://127.0.0.1:50051`, `https://gateway.example:50051`, or `unix:/path`. */
  readonly url: string;
  /** Trust and client certificate of an `https` address; PEM texts. */
  readonly tls?: ChannelTls;
  /** Lets the credential travel unprotected to another machine. @default false */
  readonly allow_plaintext?: boolean;
}

type AnyCall = (request: unknown, options: unknown) => Promise<unknown>;

/** A {@linkcode GatewayRpc} over HTTP/2. */
export class GrpcRpc implements GatewayRpc {
  readonly transport = "grpc";
  readonly #channel: Channel;
  /** Calls by full method name, made once. */
  readonly #calls = new Map<string, AnyCall>();

  /** @throws {ConfigurationError} when the address or the TLS options are not sound. */
  constructor(options: GrpcRpcOptions) {
    const { url, tls } = options;
    try {
      if (url.startsWith("unix:")) {
        this.#channel = new Channel(url);
      } else {
        const { protocol, host, port } = gatewayTarget(url, options.allow_plaintext);
        this.#channel = new Channel(
          `${host}:${port}`,
          protocol === "https" ? { tls: tls ?? {} } : {},
        );
      }
    } catch (error) {
      if (error instanceof ConfigurationError) throw error;
      const why = error instanceof Error ? error.message : String(error);
      throw new ConfigurationError(`the gateway cannot be called: ${why}`, error);
    }
  }

  /** One call. */
  async unary<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    request: MessageInitShape<I>,
    { metadata, timeout_ms, signal }: RpcTerms,
  ): Promise<RpcAnswer<MessageShape<O>>> {
    let trailers = new Metadata();
    const sent = new Metadata();
    for (const [name, value] of Object.entries(metadata)) sent.set(name, value);
    try {
      const message = await this.#call(method)(request, {
        timeout_ms,
        signal,
        metadata: sent,
        onTrailers: (received: Metadata) => trailers = received,
      });
      return {
        // The generated client reads exactly this method's answer.
        message: message as MessageShape<O>,
        trailer: (name) =>
          name.endsWith("-bin") ? base64Of(trailers.getBinary(name)) : trailers.get(name),
      };
    } catch (error) {
      signal.throwIfAborted();
      const failed = GrpcError.from(error);
      throw new RpcError(RPC_CODES[failed.code] ?? "unknown", shownText(failed.message), error);
    }
  }

  /** Closes the channel; calls under way end. */
  async close(): Promise<void> {
    await this.#channel.close();
  }

  #call(method: DescMethodUnary<DescMessage, DescMessage>): AnyCall {
    const name = `${method.parent.typeName}/${method.name}`;
    const known = this.#calls.get(name);
    if (known !== undefined) return known;
    const client: Readonly<Record<string, unknown>> = createClient(method.parent, this.#channel);
    const call = client[method.localName] as AnyCall;
    this.#calls.set(name, call);
    return call;
  }
}

function base64Of(bytes: Uint8Array | undefined): string | undefined {
  return bytes === undefined ? undefined : btoa(String.fromCharCode(...bytes));
}
