/**
 * Calls the greeter of `server.ts`:
 *
 * `deno run --allow-net=127.0.0.1 grpc/examples/client.ts`
 *
 * @module
 */
// deno-lint-ignore-file no-console
import { Channel, codeName, createClient, GrpcError, Metadata } from "../mod.ts";
import { Greeter } from "./gen/greeter_pb.ts";

const channel = new Channel(`127.0.0.1:${Deno.args[0] ?? 50061}`);
const greeter = createClient(Greeter, channel);

// One answer, within a second.
const { text } = await greeter.sayHello({ name: "Ada" }, {
  timeout_ms: 1000,
  metadata: new Metadata([["language", "de"]]),
});
console.log(text);

// Several answers; leaving the loop cancels the call on the server.
for await (const reply of greeter.keepGreeting({ name: "Grace" })) {
  console.log(reply.text);
  if (reply.text.includes("3.")) break;
}

// A refusal has a code and says why.
try {
  await greeter.sayHello({ name: "" });
} catch (reason) {
  const error = GrpcError.from(reason);
  console.log(`${codeName(error.code)}: ${error.message}`);
}

await channel.close();
