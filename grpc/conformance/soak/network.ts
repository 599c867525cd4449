/**
 * Where server and clients of the soak meet: two network namespaces of their own with a cable that
 * can be made bad, or plain loopback where there is no root.
 *
 * @module
 */

import { isInstalled, runToEnd } from "../peer_process.ts";

/** How bad the cable can be made, best first. */
export type Tier =
  /** `tc netem`: loss and delay of single packets. */
  | "netem"
  /** nftables drops single packets at random; a slow link delays. */
  | "nft"
  /** A short queue loses packets, a long one delays them. */
  | "tbf"
  /** The cable can only be pulled. */
  | "link"
  /** No namespaces: nothing can be done to loopback. */
  | "loopback";

/** The side of the cable a program lives on. */
export type Side = "server" | "client";

const SUBNET = "10.211.47";
const LOSS_PERCENT = 3;
const PROBE_TABLE = "aasoak_probe";

/** A network that faults can be put into. */
export class Network {
  readonly tier: Tier;
  /** Why the tier is no better. */
  readonly note: string;
  readonly #names: Readonly<Record<Side, string>> | undefined;

  private constructor(tier: Tier, note: string, names: Readonly<Record<Side, string>> | undefined) {
    this.tier = tier;
    this.note = note;
    this.#names = names;
  }

  /** Makes the best network this machine allows, or none when that is asked for. */
  static async create(loopback: boolean): Promise<Network> {
    if (loopback) return new Network("loopback", "left out as asked", undefined);
    if (Deno.uid() !== 0) {
      return new Network("loopback", "needs root for a network namespace", undefined);
    }
    if (!await isInstalled("ip", ["-V"])) {
      return new Network("loopback", "needs `ip`: install the package iproute2", undefined);
    }
    const names = { server: `aasoak-s${Deno.pid}`, client: `aasoak-c${Deno.pid}` };
    try {
      await lay(names);
    } catch (reason) {
      await remove(names);
      return new Network("loopback", `no network namespace: ${reason}`, undefined);
    }
    const [tier, note] = await tierOf(names);
    return new Network(tier, note, names);
  }

  /** Address the server binds and clients dial. */
  get serverHost(): string {
    return this.#names === undefined ? "127.0.0.1" : `${SUBNET}.1`;
  }

  /** Address programs of the clients' side bind. */
  get clientHost(): string {
    return this.#names === undefined ? "127.0.0.1" : `${SUBNET}.2`;
  }

  /** A command line that runs on one side. */
  command(side: Side, command: string, args: readonly string[]): [string, string[]] {
    if (this.#names === undefined) return [command, [...args]];
    return ["ip", ["netns", "exec", this.#names[side], command, ...args]];
  }

  /** Loses some packets both ways. */
  async lose(): Promise<void> {
    if (this.tier === "netem") return await this.#shape(["netem", "loss", `${LOSS_PERCENT}%`]);
    if (this.tier === "nft") return await this.#drop(["numgen", "random", "mod", "100", "<", "3"]);
    await this.#shape(["tbf", "rate", "3mbit", "burst", "3kb", "limit", "9kb"]);
  }

  /** Delays packets both ways. */
  async delay(): Promise<void> {
    if (this.tier === "netem") {
      return await this.#shape(["netem", "delay", "40ms", "20ms", "distribution", "normal"]);
    }
    await this.#shape(["tbf", "rate", "6mbit", "burst", "4kb", "limit", "200kb"]);
  }

  /** Nothing gets through. */
  async cut(): Promise<void> {
    if (this.tier === "netem") return await this.#shape(["netem", "loss", "100%"]);
    if (this.tier === "nft") return await this.#drop([]);
    await this.#each((name) => inside(name, "ip", ["link", "set", "cable", "down"]));
  }

  /** The cable is good again. */
  async mend(): Promise<void> {
    await this.#each(async (name) => {
      await inside(name, "ip", ["link", "set", "cable", "up"]);
      await inside(name, "tc", ["qdisc", "del", "dev", "cable", "root"]).catch(() => {});
      await inside(name, "nft", ["delete", "table", "inet", "soak"]).catch(() => {});
    });
  }

  /** Removes what {@linkcode create} made. */
  async close(): Promise<void> {
    if (this.#names !== undefined) await remove(this.#names);
  }

  #shape(discipline: readonly string[]): Promise<void> {
    return this.#each((name) =>
      inside(name, "tc", ["qdisc", "replace", "dev", "cable", "root", ...discipline])
    );
  }

  #drop(condition: readonly string[]): Promise<void> {
    return this.#each(async (name) => {
      await inside(name, "nft", ["add", "table", "inet", "soak"]);
      const chain = ["add", "chain", "inet", "soak", "input"];
      await inside(name, "nft", [...chain, "{ type filter hook input priority 0 ; }"]);
      const rule = ["add", "rule", "inet", "soak", "input", "iifname", "cable"];
      await inside(name, "nft", [...rule, ...condition, "drop"]);
    });
  }

  async #each(work: (name: string) => Promise<void>): Promise<void> {
    if (this.#names === undefined) throw new Error("nothing can be done to loopback");
    await work(this.#names.server);
    await work(this.#names.client);
  }
}

async function must(command: string, args: readonly string[]): Promise<void> {
  const { success, text } = await runToEnd(command, args);
  if (!success) throw new Error(`${command} ${args.join(" ")}: ${text.trim()}`);
}

function inside(name: string, command: string, args: readonly string[]): Promise<void> {
  return must("ip", ["netns", "exec", name, command, ...args]);
}

/** Two namespaces and a cable between them, each end called `cable`. */
async function lay(names: Readonly<Record<Side, string>>): Promise<void> {
  await must("ip", ["netns", "add", names.server]);
  await must("ip", ["netns", "add", names.client]);
  const near = ["link", "add", "name", "cable", "netns", names.server, "type", "veth"];
  await must("ip", [...near, "peer", "name", "cable", "netns", names.client]);
  for (const [name, host] of [[names.server, 1], [names.client, 2]] as const) {
    await inside(name, "ip", ["address", "add", `${SUBNET}.${host}/24`, "dev", "cable"]);
    await inside(name, "ip", ["link", "set", "cable", "up"]);
    await inside(name, "ip", ["link", "set", "lo", "up"]);
  }
}

async function remove(names: Readonly<Record<Side, string>>): Promise<void> {
  await runToEnd("ip", ["netns", "del", names.server]);
  await runToEnd("ip", ["netns", "del", names.client]);
}

async function tierOf(names: Readonly<Record<Side, string>>): Promise<[Tier, string]> {
  const tries = async (command: string, args: readonly string[], undo: readonly string[]) => {
    try {
      await inside(names.server, command, args);
      await inside(names.server, command, undo);
      return true;
    } catch {
      return false;
    }
  };
  const qdisc = (...discipline: string[]) =>
    tries(
      "tc",
      ["qdisc", "add", "dev", "cable", "root", ...discipline],
      ["qdisc", "del", "dev", "cable", "root"],
    );
  if (await qdisc("netem", "loss", "1%")) return ["netem", ""];
  const slow = await qdisc("tbf", "rate", "6mbit", "burst", "4kb", "limit", "200kb");
  const nft = await tries(
    "nft",
    ["add", "table", "inet", PROBE_TABLE],
    ["delete", "table", "inet", PROBE_TABLE],
  );
  if (nft && slow) return ["nft", "this kernel has no sch_netem"];
  if (slow) return ["tbf", "this kernel has no sch_netem, and `nft` (package nftables) is missing"];
  return ["link", "this kernel has neither sch_netem nor sch_tbf"];
}
