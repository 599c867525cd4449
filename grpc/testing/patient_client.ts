/**
 * Calls a server once, never closes its channel, and prints the code the call ends with:
 * `patient_client.ts TARGET WAIT_FOR_READY`. With a resolver's name and policy as further
 * arguments: `TARGET WAIT_FOR_READY round_robin`.
 *
 * @module
 */

import { Channel, codeName, createClient, GrpcError } from "../mod.ts";
import { Echo } from "../gen/echo_pb.ts";

const print = (text: string) => Deno.stdout.writeSync(new TextEncoder().encode(text));
const [target = "", wait_for_ready, policy] = Deno.args;
const channel = new Channel(
  target,
  policy === "round_robin" ? { load_balancing: "round_robin" } : {},
);
try {
  await createClient(Echo, channel).unary({}, {
    wait_for_ready: wait_for_ready === "true",
    timeout_ms: 1000,
  });
  await channel.close();
  print("OK");
} catch (reason) {
  if (!(reason instanceof GrpcError)) throw reason;
  print(policy === undefined ? codeName(reason.code) : reason.message);
}
