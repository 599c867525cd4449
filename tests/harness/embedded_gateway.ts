/**
 * A whole gateway in the test's own process, with a state directory of its own and a clock that can
 * be moved.
 *
 * @module
 */
import assert from "node:assert/strict";
import { SYSTEM_CLOCK } from "../../gateway/clock.ts";
import { parseArguments } from "../../gateway/config.ts";
import { type Gateway, startGateway } from "../../gateway/server.ts";
import { Channel, GrpcError, Metadata } from "../../grpc/mod.ts";

/** A running gateway, and how to reach it. */
export interface EmbeddedGateway extends AsyncDisposable {
  readonly directory: string;
  readonly gateway: Gateway;
  readonly channel: Channel;
  /** Metadata of its first operator, who owns it. */
  readonly operator: Metadata;
  /** Flags that lead `aasm` to it. */
  readonly cli_flags: readonly string[];
  /** Moves the gateway's wall clock. */
  advance(ms: number): void;
}

/** Starts one; a policy of `{}` restricts nothing. */
export async function embeddedGateway(
  flags: readonly string[] = [],
  policy = "{}\n",
): Promise<EmbeddedGateway> {
  const directory = await Deno.makeTempDir({ prefix: "gateway-" });
  await Deno.writeTextFile(`${directory}/policy.yaml`, policy);
  const state_dir = `${directory}/state`;
  const parsed = parseArguments([
    ...["--policy", `${directory}/policy.yaml`, "--state-dir", state_dir],
    ...["--listen", "127.0.0.1:0", "--grace-ms", "500", "--checkpoint-interval-ms", "10"],
    ...flags,
  ]);
  assert.ok(parsed.action === "run", JSON.stringify(parsed));
  let offset_ms = 0;
  const gateway = await startGateway(parsed.config, {
    ...SYSTEM_CLOCK,
    now_ms: () => Date.now() + offset_ms,
    now_ns: () => BigInt(Date.now() + offset_ms) * 1_000_000n,
  });
  const address = gateway.listeners[0] ?? "";
  const channel = new Channel(address);
  const token_file = `${state_dir}/operator.token`;
  const token = (await Deno.readTextFile(token_file)).trim();
  return {
    directory,
    gateway,
    channel,
    operator: new Metadata().set("authorization", `Bearer ${token}`),
    cli_flags: ["--gateway", address, "--token-file", token_file],
    advance: (ms) => offset_ms += ms,
    [Symbol.asyncDispose]: async () => {
      await channel.close();
      await gateway.stop("test");
      await Deno.remove(directory, { recursive: true });
    },
  };
}

/** The refusal of a call that must be refused. */
export async function refusalOf(call: Promise<unknown>): Promise<GrpcError> {
  try {
    await call;
  } catch (error) {
    assert.ok(error instanceof GrpcError, String(error));
    return error;
  }
  throw new assert.AssertionError({ message: "the call was answered" });
}
