/**
 * A client of the gateway: asks over the bad network, waits, gives up and asks again with the same
 * bytes, as the reference's clients do.
 *
 * @module
 */
import { codeOf, type Running, type SimulatedGateway } from "./gateway.ts";
import type { World } from "./world.ts";

/** How a call ended for the client. */
export type Outcome<T> =
  | { readonly kind: "answered"; readonly value: T }
  | { readonly kind: "refused"; readonly reason: string }
  /** Nobody knows whether the gateway did it. */
  | { readonly kind: "unanswered" };

/** How a call is made. */
export interface CallOptions {
  readonly attempts: number;
  readonly timeout_us: number;
}

const USUAL: CallOptions = { attempts: 3, timeout_us: 2_000_000 };

/** Makes calls. */
export class Client {
  constructor(private readonly world: World, private readonly gateway: SimulatedGateway) {}

  /** Calls the gateway until it answers or patience ends. */
  async call<T>(
    what: string,
    serve: (running: Running) => Promise<T>,
    options: CallOptions = USUAL,
  ): Promise<Outcome<T>> {
    for (let attempt = 0; attempt < options.attempts; attempt++) {
      const outcome = await this.#once(what, serve, options.timeout_us);
      if (outcome.kind === "answered") return outcome;
      if (outcome.kind === "refused" && !outcome.reason.startsWith(UNAVAILABLE)) return outcome;
      await this.world.scheduler.sleep(BACKOFF_US, `${what} backoff`);
    }
    return { kind: "unanswered" };
  }

  #once<T>(
    what: string,
    serve: (running: Running) => Promise<T>,
    timeout_us: number,
  ): Promise<Outcome<T>> {
    const { network, scheduler } = this.world;
    const { promise, resolve } = Promise.withResolvers<Outcome<T>>();
    const cancel = scheduler.after(timeout_us, `${what} timeout`, () => {
      resolve({ kind: "unanswered" });
    });
    const reply = (outcome: Outcome<T>) =>
      network.send(`${what} reply`, () => {
        cancel();
        resolve(outcome);
      });
    network.send(what, () => {
      const { running } = this.gateway;
      if (running === undefined) return reply({ kind: "refused", reason: `${UNAVAILABLE} down` });
      serve(running).then(
        (value) => this.gateway.isAlive(running) && reply({ kind: "answered", value }),
        (error) =>
          this.gateway.isAlive(running) && reply({ kind: "refused", reason: codeOf(error) }),
      );
    });
    return promise;
  }
}

const BACKOFF_US = 400_000;
/** gRPC UNAVAILABLE: the client may try again. */
const UNAVAILABLE = "code 14";
