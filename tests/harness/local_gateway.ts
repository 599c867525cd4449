/**
 * A gateway in this process over a temporary directory, with a channel to it.
 *
 * @module
 */
import assert from "node:assert/strict";
import { type CallOptions, Channel, type Code, GrpcError, Metadata } from "../../grpc/mod.ts";
import { type Clock, SYSTEM_CLOCK } from "../../gateway/clock.ts";
import { parseArguments } from "../../gateway/config.ts";
import { type Gateway, startGateway } from "../../gateway/server.ts";

/** A running gateway. */
export interface Running {
  /** Holds `policy.yaml` and `state`. */
  readonly directory: string;
  readonly gateway: Gateway;
  readonly channel: Channel;
  /** Options of an operator's call: the token of the first operator. */
  readonly operator: CallOptions;
  /** Moves the gateway's wall clock. */
  advance(ms: number): void;
}

/** Runs `use` with a new gateway under a policy. */
export async function withGateway(
  policy: string,
  flags: readonly string[],
  use: (running: Running) => Promise<void>,
): Promise<void> {
  const directory = await Deno.makeTempDir({ prefix: "aasm-gateway-" });
  try {
    await Deno.writeTextFile(`${directory}/policy.yaml`, policy);
    await gatewayOver(directory, flags, use);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

/** The same over a directory that may have a state already. Flags may say `DIRECTORY`. */
export async function gatewayOver(
  directory: string,
  flags: readonly string[],
  use: (running: Running) => Promise<void>,
): Promise<void> {
  const parsed = parseArguments([
    ...["--policy", `${directory}/policy.yaml`, "--state-dir", `${directory}/state`],
    ...["--listen", "127.0.0.1:0", "--grace-ms", "200"],
    ...flags.map((flag) => flag.replace("DIRECTORY", directory)),
  ]);
  assert.ok(parsed.action === "run", JSON.stringify(parsed));
  let offset_ms = 0;
  const clock: Clock = {
    ...SYSTEM_CLOCK,
    now_ms: () => Date.now() + offset_ms,
    now_ns: () => BigInt(Date.now() + offset_ms) * 1_000_000n,
  };
  const gateway = await startGateway(parsed.config, clock);
  const channel = new Channel(gateway.listeners[0] ?? "");
  try {
    const token = (await Deno.readTextFile(`${directory}/state/operator.token`)).trim();
    const metadata = new Metadata().set("authorization", `Bearer ${token}`);
    const advance = (ms: number) => offset_ms += ms;
    await use({ directory, gateway, channel, operator: { metadata }, advance });
  } finally {
    await channel.close();
    await gateway.stop("test");
  }
}

/** The status code that a call was refused with. */
export async function codeOf(call: Promise<unknown>): Promise<Code> {
  return (await refusalOf(call)).code;
}

/** How a call was refused. */
export async function refusalOf(call: Promise<unknown>): Promise<GrpcError> {
  try {
    await call;
  } catch (error) {
    assert.ok(error instanceof GrpcError, String(error));
    return error;
  }
  throw new assert.AssertionError({ message: "the call was answered" });
}
