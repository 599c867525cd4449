/**
 * A well-behaved client on a connection of its own: what an attack on another connection must not
 * harm.
 *
 * @module
 */

import assert from "node:assert/strict";
import { RawPeer } from "./raw_peer.ts";

const PAUSE_MS = 2;

/** Calls one after the other until it is stopped; every one must go well. */
export class Neighbour {
  readonly #peer: RawPeer;
  readonly #calling: Promise<void>;
  #stopped = false;
  #served = 0;

  private constructor(peer: RawPeer) {
    this.#peer = peer;
    this.#calling = this.#call();
    // Looked at in `stop`; until then a failure must not end the test run.
    this.#calling.catch(() => {});
  }

  /** Connects, to a port or a socket's path, and begins. */
  static async start(address: number | string): Promise<Neighbour> {
    return new Neighbour(await RawPeer.open(address));
  }

  /** Waits until at least one more call was served, then leaves. */
  async stop(): Promise<void> {
    const served = this.#served;
    while (this.#served === served && !this.#peer.ended) {
      await Promise.race([this.#calling, new Promise((resolve) => setTimeout(resolve, 1))]);
    }
    this.#stopped = true;
    await this.#calling;
    this.#peer.close();
  }

  async #call(): Promise<void> {
    for (let id = 1; !this.#stopped; id += 2) {
      await this.#peer.send(this.#peer.unary(id));
      assert.equal((await this.#peer.response(id))["grpc-status"], "0");
      this.#peer.frames.length = 0;
      this.#served++;
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    }
  }
}
