/**
 * What the kernel says a process has used.
 *
 * @module
 */

/** Clock ticks a second in /proc, the same on every Linux of this architecture (`getconf CLK_TCK`). */
const TICKS_PER_SECOND = 100;

/** Processor time of a process and all its threads since it started. */
export function cpuSeconds(pid: number): number {
  const text = Deno.readTextFileSync(`/proc/${pid}/stat`);
  // The name in brackets may hold anything; fields 14 and 15 are counted from behind it.
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}

/** Largest resident memory since {@linkcode forgetPeak}. */
export function peakMegabytes(pid: number): number {
  const text = Deno.readTextFileSync(`/proc/${pid}/status`);
  return Number(/^VmHWM:\s+(\d+) kB/m.exec(text)?.[1]) / 1024;
}

/** Begins a new peak. */
export function forgetPeak(pid: number): void {
  Deno.writeTextFileSync(`/proc/${pid}/clear_refs`, "5");
}

/** Share of time a core was busy between two readings. */
export class CoreMeter {
  readonly #core: number;
  readonly #before: { busy: number; all: number };

  constructor(core: number) {
    this.#core = core;
    this.#before = this.#read();
  }

  /** 0 to 1, since construction. */
  busy(): number {
    const { busy, all } = this.#read();
    return (busy - this.#before.busy) / Math.max(1, all - this.#before.all);
  }

  #read(): { busy: number; all: number } {
    const line = Deno.readTextFileSync("/proc/stat").split("\n")
      .find((each) => each.startsWith(`cpu${this.#core} `)) ?? "";
    const [user = 0, nice = 0, system = 0, idle = 0, wait = 0, ...rest] = line.split(" ").slice(1)
      .map(Number);
    const busy = user + nice + system + (rest[0] ?? 0) + (rest[1] ?? 0) + (rest[2] ?? 0);
    return { busy, all: busy + idle + wait };
  }
}
