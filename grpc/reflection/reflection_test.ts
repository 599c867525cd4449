import assert from "node:assert/strict";
import {
  create,
  createFileRegistry,
  type DescService,
  fromBinary,
  type MessageInitShape,
  toBinary,
} from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema, FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { Echo } from "../gen/echo_pb.ts";
import {
  ServerReflection,
  ServerReflectionRequestSchema,
  type ServerReflectionResponse,
} from "../gen/grpc/reflection/v1/reflection_pb.ts";
import { ServerReflection as Alpha } from "../gen/grpc/reflection/v1alpha/reflection_pb.ts";
import { Health } from "../gen/health_pb.ts";
import {
  addReflectionService,
  Channel,
  Code,
  createClient,
  GrpcError,
  GrpcServer,
} from "../mod.ts";
import { ECHO_HANDLERS } from "../testing/echo_server.ts";
import { DescriptorIndex } from "./descriptor_index.ts";

type Asked = MessageInitShape<typeof ServerReflectionRequestSchema>["messageRequest"];

/** Asks a server that reflects on some services; one response for each question. */
async function ask(
  services: readonly DescService[],
  questions: readonly Asked[],
  version: typeof ServerReflection | typeof Alpha = ServerReflection,
): Promise<ServerReflectionResponse["messageResponse"][]> {
  const server = new GrpcServer();
  server.addService(Echo, ECHO_HANDLERS);
  addReflectionService(server, services);
  const listener = await server.listen({ transport: "tcp", hostname: "127.0.0.1", port: 0 });
  const channel = new Channel(listener.address);
  // The two versions differ in the names of their messages only.
  const client = createClient(version as typeof ServerReflection, channel);
  const answers: ServerReflectionResponse["messageResponse"][] = [];
  try {
    const requests = async function* () {
      for (const messageRequest of questions) {
        yield create(ServerReflectionRequestSchema, {
          host: "h",
          ...(messageRequest === undefined ? {} : { messageRequest }),
        });
      }
    };
    for await (const response of client.serverReflectionInfo(requests())) {
      assert.equal(response.validHost, "h");
      assert.equal(response.originalRequest?.host, "h");
      answers.push(response.messageResponse);
    }
  } finally {
    await channel.close();
    await server.shutdown({ grace_ms: 0 });
  }
  return answers;
}

function filesOf(answer: ServerReflectionResponse["messageResponse"] | undefined) {
  assert.equal(answer?.case, "fileDescriptorResponse");
  return answer.value.fileDescriptorProto.map((bytes) =>
    fromBinary(FileDescriptorProtoSchema, bytes)
  );
}

/** A service whose file imports another and declares every kind of thing. */
function madeService(): DescService {
  const files = create(FileDescriptorSetSchema, {
    file: [
      {
        name: "made/base.proto",
        package: "made.base",
        syntax: "proto2",
        messageType: [{ name: "Open", extensionRange: [{ start: 100, end: 200 }] }],
      },
      {
        name: "made/all.proto",
        package: "made",
        syntax: "proto2",
        dependency: ["made/base.proto"],
        messageType: [{
          name: "Outer",
          field: [
            { name: "plain", number: 1, type: 9, label: 1 },
            { name: "chosen", number: 2, type: 9, label: 1, oneofIndex: 0 },
          ],
          oneofDecl: [{ name: "choice" }],
          nestedType: [{ name: "Inner" }],
          enumType: [{ name: "Kind", value: [{ name: "KIND_A", number: 0 }] }],
          extension: [{
            name: "deep",
            number: 150,
            type: 5,
            label: 1,
            extendee: ".made.base.Open",
          }],
        }],
        enumType: [{ name: "Level", value: [{ name: "LEVEL_LOW", number: 0 }] }],
        extension: [{ name: "wide", number: 120, type: 5, label: 1, extendee: ".made.base.Open" }],
        service: [{
          name: "Maker",
          method: [{ name: "Make", inputType: ".made.Outer", outputType: ".made.base.Open" }],
        }],
      },
    ],
  });
  const service = createFileRegistry(fromBinary(
    FileDescriptorSetSchema,
    toBinary(FileDescriptorSetSchema, files),
  )).getService("made.Maker");
  assert.ok(service !== undefined);
  return service;
}

for (const [name, version] of [["v1", ServerReflection], ["v1alpha", Alpha]] as const) {
  Deno.test(`reflection ${name} lists exactly the services it was given, and itself`, async () => {
    const [list] = await ask([Echo, Health], [{ case: "listServices", value: "*" }], version);
    assert.equal(list?.case, "listServicesResponse");
    assert.deepEqual(list.value.service.map((service) => service.name), [
      "grpc.health.v1.Health",
      "grpc.reflection.v1.ServerReflection",
      "grpc.reflection.v1alpha.ServerReflection",
      "grpc.test.v1.Echo",
    ]);
  });
}

Deno.test("a server reflects on nothing unless it is told to", async () => {
  const server = new GrpcServer();
  server.addService(Echo, ECHO_HANDLERS);
  const listener = await server.listen({ transport: "tcp", hostname: "127.0.0.1", port: 0 });
  const channel = new Channel(listener.address);
  const client = createClient(ServerReflection, channel);
  await assert.rejects(
    (async () => {
      for await (const _ of client.serverReflectionInfo((async function* () {})()));
    })(),
    (reason) => reason instanceof GrpcError && reason.code === Code.UNIMPLEMENTED,
  );
  await channel.close();
  await server.shutdown();
});

Deno.test("every name a file declares leads to the file, with what it imports", async () => {
  const symbols = [
    "made.Maker",
    "made.Maker.Make",
    "made.Outer",
    "made.Outer.plain",
    "made.Outer.choice",
    "made.Outer.Inner",
    "made.Outer.Kind",
    "made.Outer.KIND_A",
    "made.Outer.deep",
    "made.Level",
    "made.LEVEL_LOW",
    "made.wide",
  ];
  const service = madeService();
  const index = new DescriptorIndex([service]);
  for (const symbol of symbols) assert.equal(index.fileBySymbol(symbol), service.file, symbol);
  const [answer] = await ask([service], [{ case: "fileContainingSymbol", value: "made.Maker" }]);
  assert.deepEqual(filesOf(answer).map((file) => file.name), ["made/all.proto", "made/base.proto"]);
});

Deno.test("files come once a stream, the one asked for always", async () => {
  const question: Asked = { case: "fileByFilename", value: "made/all.proto" };
  const base: Asked = { case: "fileByFilename", value: "made/base.proto" };
  const answers = await ask([madeService()], [question, question, base]);
  assert.deepEqual(answers.map((answer) => filesOf(answer).map((file) => file.name)), [
    ["made/all.proto", "made/base.proto"],
    ["made/all.proto"],
    ["made/base.proto"],
  ]);
});

Deno.test("extensions are found by the message they extend", async () => {
  const containingType = "made.base.Open";
  const answers = await ask([madeService()], [
    { case: "allExtensionNumbersOfType", value: containingType },
    { case: "allExtensionNumbersOfType", value: "made.Outer" },
    { case: "fileContainingExtension", value: { containingType, extensionNumber: 150 } },
  ]);
  const numbers = answers.slice(0, 2).map((answer) =>
    answer?.case === "allExtensionNumbersResponse" ? answer.value.extensionNumber : undefined
  );
  assert.deepEqual(numbers, [[120, 150], []]);
  assert.equal(filesOf(answers[2])[0]?.name, "made/all.proto");
});

Deno.test("what is not there is an error response, and the stream goes on", async () => {
  const answers = await ask([Echo], [
    { case: "fileByFilename", value: "../../etc/passwd" },
    { case: "fileContainingSymbol", value: "x".repeat(100_000) },
    { case: "fileContainingSymbol", value: "__proto__" },
    { case: "fileContainingExtension", value: { containingType: "a.B", extensionNumber: 1 } },
    { case: "allExtensionNumbersOfType", value: "a.B" },
    undefined,
    { case: "listServices", value: "" },
  ]);
  const codes = answers.map((answer) =>
    answer.case === "errorResponse" ? answer.value.errorCode : answer.case
  );
  assert.deepEqual(codes, [5, 5, 5, 5, 5, 3, "listServicesResponse"]);
  const long = answers[1];
  assert.ok(long?.case === "errorResponse" && long.value.errorMessage.length < 300);
});

Deno.test("an interceptor decides who may ask", async () => {
  const server = new GrpcServer();
  addReflectionService(server, [Echo], {
    interceptors: [() => {
      throw new GrpcError("who are you", Code.UNAUTHENTICATED);
    }],
  });
  const listener = await server.listen({ transport: "tcp", hostname: "127.0.0.1", port: 0 });
  const channel = new Channel(listener.address);
  for (const version of [ServerReflection, Alpha]) {
    const client = createClient(version as typeof ServerReflection, channel);
    await assert.rejects(
      (async () => {
        for await (const _ of client.serverReflectionInfo((async function* () {})()));
      })(),
      (reason) => reason instanceof GrpcError && reason.code === Code.UNAUTHENTICATED,
    );
  }
  await channel.close();
  await server.shutdown();
});
