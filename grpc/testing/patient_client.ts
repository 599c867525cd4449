/**
 * Calls a server once and prints the code the call ends with; closes its channel only when the call
 * goes well: `patient_client.ts TARGET WAIT_FOR_READY`. With `round_robin` as a further argument it
 * spreads calls, and prints the error's text.
 *
 * @module
 */

import { Channel, codeName, createClient, GrpcError } from "../mod.ts";
import { Echo } from "../gen/echo_pb.ts";

const print = (text: string) => Deno.stdout.writeSync(new TextEncoder().encode(text));

async function callOnce(target: string, wait_for_ready: boolean, policy?: string): Promise<void> {
  const channel = new Channel(
    target,
    policy === "round_robin" ? { load_balancing: "round_robin" } : {},
  );
  try {
    await createClient(Echo, channel).unary({}, { wait_for_ready });
    await channel.close();
    print("OK");
  } catch (reason) {
    if (!(reason instanceof GrpcError)) throw reason;
    print(policy === undefined ? codeName(reason.code) : reason.message);
  }
}

// Not awaited: a module that awaits stays alive for that alone.
callOnce(Deno.args[0] ?? "", Deno.args[1] === "true", Deno.args[2]);
