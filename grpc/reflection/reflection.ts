/**
 * The reflection service, `grpc.reflection.v1` and its predecessor `v1alpha` (gRPC core
 * documentation, "Server Reflection Protocol"): tells clients without `.proto` files what can be
 * called and how.
 *
 * @module
 */

import {
  create,
  type DescFile,
  type DescService,
  fromBinary,
  type MessageInitShape,
  toBinary,
} from "@bufbuild/protobuf";
import { Code } from "../code.ts";
import {
  ServerReflection,
  type ServerReflectionRequest,
  ServerReflectionRequestSchema,
  type ServerReflectionResponse,
  ServerReflectionResponseSchema,
} from "../gen/grpc/reflection/v1/reflection_pb.ts";
import { ServerReflection as ServerReflectionAlpha } from "../gen/grpc/reflection/v1alpha/reflection_pb.ts";
import type { GrpcServer } from "../server/server.ts";
import type { Interceptor } from "../server/types.ts";
import { DescriptorIndex } from "./descriptor_index.ts";

/** Options of the reflection service. */
export interface ReflectionOptions {
  /** Run after the server's own, in order: the place to ask who wants to know. */
  readonly interceptors?: readonly Interceptor[];
}

/** What a caller asked for is repeated to it up to so many characters. */
const NAME_CHARS_MAX = 256;

type Answer = NonNullable<
  MessageInitShape<typeof ServerReflectionResponseSchema>["messageResponse"]
>;

/**
 * Adds the reflection service, for tools like grpcurl: it lists the given services and itself, and
 * hands out their files with all they import.
 *
 * It is off unless it is added, because it tells whoever may call it every service, method and
 * field a server has, those that are not for them too: a map for an attacker, and one more thing to
 * call without end. Add it where callers are known, or give it an interceptor that asks.
 *
 * Requests of one stream are answered in order, one at a time, no faster than the caller reads.
 *
 * @throws TypeError when the service was added before
 */
export function addReflectionService(
  server: GrpcServer,
  services: readonly DescService[],
  options: ReflectionOptions = {},
): void {
  const reflection = new Reflection([...services, ServerReflection, ServerReflectionAlpha]);
  const serverReflectionInfo = (requests: AsyncIterable<ServerReflectionRequest>) =>
    reflection.answerAll(requests);
  server.addService(ServerReflection, { serverReflectionInfo }, options);
  // Both versions are the same on the wire; the newer one's messages serve both.
  server.addService(
    ServerReflectionAlpha,
    { serverReflectionInfo: serverReflectionInfo as never },
    {
      ...options,
      codecs: {
        serverReflectionInfo: {
          decode: (bytes) => fromBinary(ServerReflectionRequestSchema, bytes) as never,
          encode: (message) => toBinary(ServerReflectionResponseSchema, message as never),
        },
      },
    },
  );
}

class Reflection {
  readonly #names: readonly string[];
  readonly #index: DescriptorIndex;

  constructor(services: readonly DescService[]) {
    this.#names = [...new Set(services.map(({ typeName }) => typeName))].sort();
    this.#index = new DescriptorIndex(services);
  }

  /** Answers one stream. */
  async *answerAll(
    requests: AsyncIterable<ServerReflectionRequest>,
  ): AsyncGenerator<ServerReflectionResponse> {
    /** What this stream was given already and need not be given again. */
    const given = new Set<DescFile>();
    for await (const request of requests) {
      yield create(ServerReflectionResponseSchema, {
        validHost: request.host,
        originalRequest: request,
        messageResponse: this.#answer(request, given),
      });
    }
  }

  #answer({ messageRequest }: ServerReflectionRequest, given: Set<DescFile>): Answer {
    const { value } = messageRequest;
    switch (messageRequest.case) {
      case "listServices": {
        const service = this.#names.map((name) => ({ name }));
        return { case: "listServicesResponse", value: { service } };
      }
      case "fileByFilename":
        return this.#file(this.#index.fileByPath(messageRequest.value), given, value);
      case "fileContainingSymbol":
        return this.#file(this.#index.fileBySymbol(messageRequest.value), given, value);
      case "fileContainingExtension": {
        const { containingType, extensionNumber } = messageRequest.value;
        const file = this.#index.fileByExtension(containingType, extensionNumber);
        return this.#file(file, given, `${containingType}:${extensionNumber}`);
      }
      case "allExtensionNumbersOfType": {
        const extensionNumber = this.#index.extensionNumbers(messageRequest.value);
        if (extensionNumber === undefined) return notFound(value);
        const baseTypeName = messageRequest.value;
        return {
          case: "allExtensionNumbersResponse",
          value: { baseTypeName, extensionNumber },
        };
      }
      case undefined:
        return error(Code.INVALID_ARGUMENT, "the request asks for nothing this server knows of");
    }
  }

  /** A file, and what it imports as far as the stream has not got it. */
  #file(file: DescFile | undefined, given: Set<DescFile>, asked: unknown): Answer {
    if (file === undefined) return notFound(asked);
    given.delete(file);
    const fileDescriptorProto: Uint8Array[] = [];
    const add = (next: DescFile) => {
      if (given.has(next)) return;
      given.add(next);
      fileDescriptorProto.push(this.#index.bytesOf(next));
      for (const dependency of next.dependencies) add(dependency);
    };
    add(file);
    return { case: "fileDescriptorResponse", value: { fileDescriptorProto } };
  }
}

function notFound(asked: unknown): Answer {
  return error(Code.NOT_FOUND, `not found: \`${String(asked).slice(0, NAME_CHARS_MAX)}\``);
}

function error(errorCode: Code, errorMessage: string): Answer {
  return { case: "errorResponse", value: { errorCode, errorMessage } };
}
