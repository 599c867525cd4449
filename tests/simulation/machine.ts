/**
 * Takes the real machine away while a run lasts: clocks, timers, chance, files and sockets throw,
 * so that code which reaches for one fails the run instead of making it differ from the next.
 *
 * @module
 */
import type { Random } from "./random.ts";

/** A piece of the machine that simulated code reached for. */
export class RealMachineError extends Error {
  override readonly name = "RealMachineError";
}

const DENO_CALLS = [
  "open",
  "openSync",
  "readFile",
  "readFileSync",
  "readTextFile",
  "readTextFileSync",
  "writeFile",
  "writeFileSync",
  "writeTextFile",
  "writeTextFileSync",
  "mkdir",
  "mkdirSync",
  "remove",
  "removeSync",
  "rename",
  "renameSync",
  "stat",
  "statSync",
  "lstat",
  "lstatSync",
  "readDir",
  "readDirSync",
  "connect",
  "listen",
  "serve",
] as const;
const GLOBAL_CALLS = [
  "setTimeout",
  "setInterval",
  "setImmediate",
  "fetch",
  "Worker",
  "WebSocket",
] as const;
const SUBTLE_CALLS = ["digest", "sign", "verify", "encrypt", "decrypt", "generateKey"] as const;

interface Replaced {
  readonly on: object;
  readonly name: string;
  readonly was: PropertyDescriptor;
}

/** The machine taken away. Dispose of it to have it back. */
export class NoMachine implements Disposable {
  readonly #replaced: Replaced[] = [];

  /** @param random Where keys and tokens come from instead. */
  constructor(random: Random) {
    for (const name of GLOBAL_CALLS) this.#forbid(globalThis, name);
    for (const name of DENO_CALLS) this.#forbid(Deno, name, `Deno.${name}`);
    for (const name of SUBTLE_CALLS) {
      this.#forbid(SubtleCrypto.prototype, name, `crypto.subtle.${name}`);
    }
    this.#forbid(AbortSignal, "timeout", "AbortSignal.timeout");
    this.#forbid(Math, "random", "Math.random");
    this.#forbid(Performance.prototype, "now", "performance.now");
    const time: object = Temporal.Now;
    for (const name of ["instant", "zonedDateTimeISO", "plainDateISO"]) {
      this.#forbid(time, name, `Temporal.Now.${name}`);
    }
    this.#replace(globalThis, "Date", dateWithoutNow());
    this.#replace(Crypto.prototype, "getRandomValues", (into: ArrayBufferView) => {
      random.fill(new Uint8Array(into.buffer, into.byteOffset, into.byteLength));
      return into;
    });
    this.#replace(Crypto.prototype, "randomUUID", () => uuid(random));
  }

  #forbid(on: object, name: string, shown = name): void {
    this.#replace(on, name, function (): never {
      throw new RealMachineError(`simulated code reached for the real \`${shown}\``);
    });
  }

  #replace(on: object, name: string, value: unknown): void {
    const was = Object.getOwnPropertyDescriptor(on, name);
    if (was === undefined) return;
    this.#replaced.push({ on, name, was });
    Object.defineProperty(on, name, { value, configurable: true, writable: true });
  }

  [Symbol.dispose](): void {
    for (const { on, name, was } of this.#replaced.toReversed()) {
      Object.defineProperty(on, name, was);
    }
  }
}

/** `Date` that can be made from a time and cannot tell the time. */
function dateWithoutNow(): DateConstructor {
  const real = Date;
  const refuse = (): never => {
    throw new RealMachineError("simulated code reached for the real `Date`");
  };
  return new Proxy(real, {
    construct: (target, args, new_target) =>
      args.length === 0 ? refuse() : Reflect.construct(target, args, new_target),
    apply: refuse,
    get: (target, name, receiver) => name === "now" ? refuse : Reflect.get(target, name, receiver),
  });
}

function uuid(random: Random): string {
  const bytes = new Uint8Array(16);
  random.fill(bytes);
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x40;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  const hex = bytes.toHex();
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)]
    .join("-");
}
