/**
 * From a target to addresses, now and again when connections fail.
 *
 * A name is by default one address that connecting resolves: `Deno.connect` tries every address of
 * the name (RFC 8305) under the permission for `host:port` alone. Only spreading calls over the
 * addresses of a name needs them listed, and more permissions with it.
 *
 * @module
 */

import { CHANNEL_ADDRESSES_MAX } from "../bounds.ts";
import { type Backoff, backoffWaitMs } from "./backoff.ts";
import { type Address, distinct, parseAddress, type Target } from "./target.ts";

/** A host name that is to be resolved. */
export interface NameToResolve {
  readonly hostname: string;
  readonly port: number;
  /** Aborts when the channel closes or goes idle. */
  readonly signal: AbortSignal;
}

/**
 * Lists the addresses of a name as `ip:port`, `[ip]:port`, `host:port` or `unix:/path`, in the
 * order they are to be tried. What it throws, and an empty list, is a failed resolution: calls fail
 * with UNAVAILABLE when no earlier answer is known, and it is asked again after the backoff.
 */
export type Resolve = (name: NameToResolve) => Promise<readonly string[]>;

/**
 * Resolves A and AAAA records with `Deno.resolveDns`, IPv6 and IPv4 in turn (RFC 8305 section 4).
 * Needs net permission for the system's name servers, and connecting then for each address.
 */
export async function resolveByDns(name: NameToResolve): Promise<readonly string[]> {
  const { hostname, port, signal } = name;
  const [ipv6, ipv4] = await Promise.all([
    recordsOf(hostname, "AAAA", signal),
    recordsOf(hostname, "A", signal),
  ]);
  const texts: string[] = [];
  for (let index = 0; index < Math.max(ipv6.length, ipv4.length); index++) {
    if (ipv6[index] !== undefined) texts.push(`[${ipv6[index]}]:${port}`);
    if (ipv4[index] !== undefined) texts.push(`${ipv4[index]}:${port}`);
  }
  return texts;
}

async function recordsOf(
  hostname: string,
  type: "A" | "AAAA",
  signal: AbortSignal,
): Promise<string[]> {
  try {
    return await Deno.resolveDns(hostname, type, { signal });
  } catch (reason) {
    if (reason instanceof Deno.errors.NotFound) return [];
    throw reason;
  }
}

/** Who wants the addresses. */
export interface ResolverListener {
  onAddresses(addresses: readonly Address[]): void;
  /** Resolving failed; an earlier answer, if there is one, stays in use. */
  onResolveFailed(text: string): void;
}

/** Resolves one target as often as it is asked to and may. */
export class Resolver {
  readonly #target: Target;
  readonly #resolve: Resolve | undefined;
  readonly #listener: ResolverListener;
  readonly #backoff: Backoff;
  readonly #interval_ms: number;
  #failures = 0;
  #earliest_ms = 0;
  #running: AbortController | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;

  /**
   * @param resolve undefined: the target's addresses are taken as they are
   * @param interval_ms least time between the starts of two resolutions
   */
  constructor(
    target: Target,
    resolve: Resolve | undefined,
    listener: ResolverListener,
    backoff: Backoff,
    interval_ms: number,
  ) {
    this.#target = target;
    this.#resolve = target.name === undefined ? undefined : resolve;
    this.#listener = listener;
    this.#backoff = backoff;
    this.#interval_ms = interval_ms;
  }

  /** Gives the addresses, at once when nothing is to be resolved. */
  start(): void {
    if (this.#resolve === undefined) this.#listener.onAddresses(this.#target.addresses);
    else this.request();
  }

  /** Resolves anew: now, or when enough time has passed since the last time. */
  request(): void {
    if (this.#resolve === undefined || this.#running !== undefined) return;
    if (this.#timer !== undefined) return;
    const wait_ms = this.#earliest_ms - Date.now();
    if (wait_ms <= 0) return void this.#run(this.#resolve);
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.request();
    }, wait_ms);
    Deno.unrefTimer(this.#timer);
  }

  /** Gives up what is under way; may be started again. */
  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#running?.abort(new DOMException("the channel needs no addresses", "AbortError"));
    this.#running = undefined;
  }

  async #run(resolve: Resolve): Promise<void> {
    const { name } = this.#target;
    if (name === undefined) return;
    const started_ms = Date.now();
    const running = new AbortController();
    this.#running = running;
    let addresses: readonly Address[] = [];
    let failure = "it has no addresses";
    try {
      const { signal } = running;
      addresses = addressesOf(await resolve({ ...name, signal }));
    } catch (reason) {
      failure = reason instanceof Error ? reason.message : "unknown reason";
    }
    if (this.#running !== running) return; // Stopped meanwhile.
    this.#running = undefined;
    if (addresses.length > 0) {
      this.#failures = 0;
      this.#earliest_ms = started_ms + this.#interval_ms;
      return this.#listener.onAddresses(addresses);
    }
    this.#earliest_ms = started_ms + backoffWaitMs(this.#backoff, this.#failures++);
    this.request();
    this.#listener.onResolveFailed(`cannot resolve \`${name.hostname}\`: ${failure}`);
  }
}

/** @throws TypeError when a text is no address */
function addressesOf(texts: readonly string[]): Address[] {
  const addresses = texts.slice(0, CHANNEL_ADDRESSES_MAX).map((text) => {
    const address = parseAddress(text);
    if (address === undefined) throw new TypeError(`\`${text}\` is no address with a port`);
    return address;
  });
  return distinct(addresses);
}
