/**
 * A greeter. Run it, then `client.ts`:
 *
 * `deno run --allow-net=127.0.0.1 grpc/examples/server.ts`
 *
 * @module
 */
// deno-lint-ignore-file no-console
import { create } from "@bufbuild/protobuf";
import { addHealthService, Code, GrpcError, GrpcServer } from "../mod.ts";
import { Greeter, HelloReplySchema } from "./gen/greeter_pb.ts";

const server = new GrpcServer({
  onEvent: (event) => {
    if (event.type === "call_ended") console.log(`${event.method} ended with code ${event.code}`);
  },
});

server.addService(Greeter, {
  sayHello({ name }, { metadata }) {
    if (name === "") throw new GrpcError("name is empty: say who you are", Code.INVALID_ARGUMENT);
    const language = metadata.get("language") ?? "en";
    return create(HelloReplySchema, { text: `${language === "de" ? "Hallo" : "Hello"}, ${name}` });
  },
  async *keepGreeting({ name }, { signal }) {
    for (let count = 1; !signal.aborted; count++) {
      yield create(HelloReplySchema, { text: `Hello, ${name}, for the ${count}. time` });
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  },
});
addHealthService(server, [Greeter.typeName]);

const port = Number(Deno.args[0] ?? 50061);
const { address } = await server.listen({ transport: "tcp", hostname: "127.0.0.1", port });
console.log(`serving on ${address}; interrupt to stop`);
Deno.addSignalListener("SIGINT", async () => {
  await server.shutdown({ grace_ms: 2000 });
  Deno.exit(0);
});
