/**
 * Which connection a call goes to: what the two policies have in common (gRPC core documentation,
 * "Load Balancing in gRPC").
 *
 * @module
 */

import type { ClientConnection } from "./connection.ts";
import type { Subchannel, SubchannelState } from "./subchannel.ts";
import { type Address, addressText } from "./target.ts";

/** How calls are spread: over one connection, or over one to each address. */
export type LoadBalancing = (typeof LOAD_BALANCING)[number];

/** The names of the policies. */
export const LOAD_BALANCING = ["pick_first", "round_robin"] as const;

/** What a policy asks of its channel. */
export interface BalancerHost {
  /** A subchannel for an address; it is idle. */
  createSubchannel(address: Address): Subchannel;
  /** The addresses may be out of date. */
  requestResolution(): void;
}

/** A policy, from when its channel leaves idle until it returns to it. */
export interface Balancer {
  readonly state: SubchannelState;
  /** Why the state is transient_failure. */
  readonly failure: string;
  /** Whether it has no address yet. */
  readonly isEmpty: boolean;
  /** A connection with room for one more call; undefined: none now. */
  pick(): ClientConnection | undefined;
  /** Takes over a list of addresses, of which none repeats; keeps what it has of them. */
  update(addresses: readonly Address[]): void;
  /** Leaves idle. */
  connect(): void;
  /** A subchannel of this policy changed its state. */
  onSubchannelState(subchannel: Subchannel): void;
  /** Lets go of every subchannel; calls open on them finish. */
  stop(): void;
}

/** The subchannels of a new list: those there are, and new ones; the others are disconnected. */
export function replaceSubchannels(
  host: BalancerHost,
  current: readonly Subchannel[],
  addresses: readonly Address[],
): Subchannel[] {
  const rest = new Map(current.map((each) => [addressText(each.address), each]));
  const next = addresses.map((address) => {
    const text = addressText(address);
    const known = rest.get(text);
    rest.delete(text);
    return known ?? host.createSubchannel(address);
  });
  for (const dropped of rest.values()) dropped.disconnect();
  return next;
}
