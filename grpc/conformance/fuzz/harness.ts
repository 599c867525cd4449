/**
 * What sessions run in: virtual time, sockets in memory behind `Deno.listen` and `Deno.connect`, and
 * a way to look inside the connections under test. The module itself is not changed: it is driven
 * through its public servers and channels.
 *
 * @module
 */

import { Http2Endpoint } from "../../http2/endpoint.ts";
import type { Http2Connection } from "../../http2/connection.ts";
import type { Http2Stream } from "../../http2/stream.ts";
import { Random } from "../random.ts";
import { VirtualClock } from "./clock.ts";
import { InvariantError } from "./invariant.ts";
import { OutputChecker } from "./output_checker.ts";
import { PeerSpeech } from "./peer_speech.ts";
import type { Session } from "./session.ts";
import { SimulatedSocket } from "./simulated_socket.ts";

/** A connection under test, from inside. */
export type Inside = Http2Connection<Http2Stream>;

/** One simulated connection with its judges. */
export interface Wire {
  readonly socket: SimulatedSocket;
  readonly speech: PeerSpeech;
  readonly checker: OutputChecker;
  inside: Inside | undefined;
}

/** A listener whose connections the fuzzer makes. */
class SimulatedListener {
  readonly addr: Deno.NetAddr = { transport: "tcp", hostname: "127.0.0.1", port: 1 };
  #waiting: SimulatedSocket[] = [];
  #wake: ((socket: SimulatedSocket) => void) | undefined;
  #refuse: ((reason: unknown) => void) | undefined;

  accept(): Promise<SimulatedSocket> {
    const socket = this.#waiting.shift();
    if (socket !== undefined) return Promise.resolve(socket);
    return new Promise((resolve, reject) => {
      this.#wake = resolve;
      this.#refuse = reject;
    });
  }

  deliver(socket: SimulatedSocket): void {
    if (this.#wake === undefined) this.#waiting.push(socket);
    else this.#wake(socket);
    this.#wake = undefined;
  }

  close(): void {
    this.#refuse?.(new Deno.errors.BadResource("closed"));
  }
}

/** The world of one session after another. */
export class Harness {
  readonly clock = new VirtualClock();
  /** Every connection of the session, oldest first. */
  wires: Wire[] = [];
  /** Connects are refused. */
  refusing = false;
  /** The first broken promise of the session. */
  violation: Error | undefined;
  readonly #real = {
    listen: Deno.listen,
    connect: Deno.connect,
    run: Http2Endpoint.prototype.run,
    random: Math.random,
    stack_lines: Error.stackTraceLimit,
  };
  #session: Session | undefined;
  #random = new Random(0);
  #listener: SimulatedListener | undefined;
  #announced = { frame_bytes: 16_384, stream_window_bytes: 0, connection_window_bytes: 0 };
  readonly #onRejection = (event: PromiseRejectionEvent) => {
    event.preventDefault();
    this.report(new InvariantError(`unhandled rejection: ${describe(event.reason)}`));
  };
  readonly #onError = (event: ErrorEvent) => {
    event.preventDefault();
    this.report(new InvariantError(`uncaught error: ${describe(event.error)}`));
  };

  install(): void {
    this.clock.install();
    const listen = () => this.#listener = new SimulatedListener();
    const connect = () => this.#dial();
    Object.assign(Deno, { listen, connect });
    // Where an error was thrown is asked for now and then; stacks are costly to take.
    Error.stackTraceLimit = 1;
    // Jitter, too, must be the same when a session is repeated.
    Math.random = () => this.#random.below(1000) / 1000;
    const { run } = this.#real;
    // deno-lint-ignore no-this-alias
    const harness = this;
    Http2Endpoint.prototype.run = function (this: Http2Endpoint): Promise<void> {
      // Connections run in the order in which their sockets were made.
      const wire = harness.wires.find((each) => each.inside === undefined);
      if (wire !== undefined) wire.inside = this as unknown as Inside;
      return run.call(this).catch((reason: unknown) => {
        harness.report(new InvariantError(`run rejected: ${describe(reason)}`));
      });
    };
    globalThis.addEventListener("unhandledrejection", this.#onRejection);
    globalThis.addEventListener("error", this.#onError);
  }

  uninstall(): void {
    this.clock.uninstall();
    Object.assign(Deno, { listen: this.#real.listen, connect: this.#real.connect });
    Http2Endpoint.prototype.run = this.#real.run;
    Math.random = this.#real.random;
    Error.stackTraceLimit = this.#real.stack_lines;
    globalThis.removeEventListener("unhandledrejection", this.#onRejection);
    globalThis.removeEventListener("error", this.#onError);
  }

  /** Forgets the session before; `announced` are the bounds of the endpoint under test. */
  begin(session: Session, announced: Harness["announced"]): void {
    this.#session = session;
    this.#random = new Random(session.seed);
    this.#announced = announced;
    this.wires = [];
    this.refusing = false;
    this.violation = undefined;
    this.clock.reset();
  }

  get announced(): {
    frame_bytes: number;
    stream_window_bytes: number;
    connection_window_bytes: number;
  } {
    return this.#announced;
  }

  report(error: Error): void {
    this.violation ??= error;
  }

  /** Connects to the server under test. */
  connectToServer(): Wire {
    const wire = this.#newWire();
    this.#listener?.deliver(wire.socket);
    return wire;
  }

  #dial(): Promise<SimulatedSocket> {
    if (this.refusing) return Promise.reject(new Deno.errors.ConnectionRefused("refused"));
    return Promise.resolve(this.#newWire().socket);
  }

  #newWire(): Wire {
    const session = this.#session;
    if (session === undefined) throw new Error("no session has begun");
    const speech = new PeerSpeech(session.half === "server", this.#announced.frame_bytes);
    const checker = new OutputChecker(session.half, speech, this.#announced);
    const guarded = (judge: () => void) => {
      try {
        judge();
      } catch (reason) {
        if (!(reason instanceof InvariantError)) throw reason;
        this.report(reason);
      }
    };
    const socket = new SimulatedSocket(
      {
        onTaken: (bytes) => speech.take(bytes),
        onSent: (bytes) => guarded(() => checker.push(bytes)),
        onMisuse: (error) => this.report(error),
      },
      this.#random,
      session,
    );
    const wire: Wire = { socket, speech, checker, inside: undefined };
    this.wires.push(wire);
    return wire;
  }
}

/** A reason as one line, with where it was thrown when that is known. */
export function describe(reason: unknown): string {
  if (!(reason instanceof Error)) return String(reason);
  const [, where = ""] = (reason.stack ?? "").split("\n    at ");
  return `${reason.name}: ${reason.message} at ${where.trim()}`;
}
