/**
 * A disk that does everything a disk may do to a program that was promised less than it believes:
 * bytes count only once synced, names only once their directory is, and a crash keeps any beginning
 * of the rest, with blocks that read as zeros.
 *
 * Not modelled: a directory that vanishes, bytes that rot after a sync, and a process that reads
 * back from the page cache what a failed sync has dropped (here it is gone at the next start).
 *
 * @module
 */
import { dirname } from "node:path";
import type { Disk } from "../../gateway/audit/disk.ts";
import type { DurableFile } from "../../gateway/audit/durable_file.ts";
import { Bytes } from "./bytes.ts";
import type { Faults } from "./faults.ts";
import type { Random } from "./random.ts";
import type { Scheduler } from "./scheduler.ts";

/** What was done to a file and is not yet on disk. */
type Change =
  | { readonly kind: "append"; readonly bytes: Uint8Array }
  | { readonly kind: "truncate"; readonly length: number };

/** What was done to a directory and is not yet on disk; the names change together. */
type NameChange = readonly { readonly path: string; readonly file: SimulatedFile | undefined }[];

/** Sector of the simulated disk: what a crash keeps or loses as a whole. */
const SECTOR_BYTES = 512;
const EIO = "Input/output error (os error 5)";
const ENOSPC = "No space left on device (os error 28)";

/** One file: as programs see it, and as the platter has it. */
class SimulatedFile {
  readonly seen = new Bytes();
  readonly durable = new Bytes();
  changes: Change[] = [];
  /** A sync has failed: what programs see is not what a restart will find. */
  dropped = false;

  apply(change: Change, to: Bytes): void {
    if (change.kind === "append") to.append(change.bytes);
    else to.truncate(change.length);
  }

  change(change: Change): void {
    this.apply(change, this.seen);
    this.changes.push(change);
  }

  /** The first `count` changes reach the platter. */
  settle(count: number): void {
    for (const change of this.changes.splice(0, count)) this.apply(change, this.durable);
  }

  /** What a program that starts now finds. */
  reload(): void {
    this.seen.set(this.durable.view());
    this.changes = [];
    this.dropped = false;
  }
}

/** What the simulation decides about the disk. */
export interface DiskOptions {
  readonly random: Random;
  readonly scheduler: Scheduler;
  readonly faults: Faults;
  /** The disk says it has synced when it has not (broken on purpose). */
  readonly lies: boolean;
  readonly note: (what: string) => void;
}

/** The platter, and the page cache over it. Outlives the programs that use it. */
export class SimulatedDisk {
  readonly #options: DiskOptions;
  readonly #names = new Map<string, SimulatedFile>();
  readonly #durable_names = new Map<string, SimulatedFile>();
  readonly #name_changes = new Map<string, NameChange[]>();
  readonly #locks = new Set<string>();
  /** Programs of an earlier boot hear nothing any more. */
  #boot = 0;
  full = false;

  constructor(options: DiskOptions) {
    this.#options = options;
  }

  /** Bytes of a file that would survive anything now; `undefined` when there is none. */
  onPlatter(path: string): Uint8Array | undefined {
    return this.#durable_names.get(path)?.durable.view();
  }

  /** The same, empty when there is none. */
  durable(path: string): Uint8Array {
    return this.onPlatter(path) ?? new Uint8Array(0);
  }

  /** Bytes of a file as programs see it; empty when there is none. */
  seen(path: string): Uint8Array {
    return this.#names.get(path)?.seen.view() ?? new Uint8Array(0);
  }

  /** Bytes at the end of a file that a power cut may still take back. */
  unsynced(path: string): number {
    const file = this.#names.get(path);
    return file === undefined ? 0 : file.seen.length - file.durable.length;
  }

  /** Ends every program on the machine; with the power, what was not synced is left to chance. */
  crash(power_loss: boolean): void {
    this.#boot++;
    this.#locks.clear();
    if (power_loss) this.#losePower();
    for (const file of this.#names.values()) if (file.dropped) file.reload();
  }

  #losePower(): void {
    const { random } = this.#options;
    for (const changes of this.#name_changes.values()) {
      for (const change of changes.slice(0, random.below(changes.length + 1))) {
        this.#settleNames(change);
      }
    }
    this.#name_changes.clear();
    this.#names.clear();
    for (const [path, file] of this.#durable_names) this.#names.set(path, file);
    for (const [path, file] of this.#names) this.#tear(path, file);
  }

  #tear(path: string, file: SimulatedFile): void {
    if (file.changes.length === 0) return;
    const { random } = this.#options;
    const synced = file.durable.length;
    const count = random.below(file.changes.length + 1);
    const next = file.changes[count];
    file.settle(count);
    if (next?.kind === "append") {
      file.durable.append(next.bytes.subarray(0, random.below(next.bytes.length + 1)));
    }
    // The length may reach the platter before the blocks do.
    let lost = 0;
    if (random.chance(0.3)) {
      const first = Math.ceil(synced / SECTOR_BYTES);
      for (let at = first * SECTOR_BYTES; at < file.durable.length; at += SECTOR_BYTES) {
        if (!random.chance(0.4)) continue;
        file.durable.zero(at, at + SECTOR_BYTES);
        lost++;
      }
    }
    const kept = file.durable.length - synced;
    this.#options.note(`disk: ${path} keeps ${kept} unsynced bytes, ${lost} sectors read as zeros`);
    file.reload();
  }

  /** The disk as the program that starts now has it. */
  mount(): Disk {
    const boot = this.#boot;
    const io = <T>(what: string, work: () => T): Promise<T> => this.#io(boot, what, work);
    const fileAt = (path: string) => {
      const file = this.#names.get(path);
      if (file === undefined) throw new Error("No such file or directory (os error 2)");
      return file;
    };
    const size = (path: string) => this.#names.get(path)?.seen.length;
    const read = (path: string) => this.#names.get(path)?.seen.view().slice();
    return {
      makeDirectory: () => {},
      lock: (path) => this.#lock(path),
      kindOf: (path) => this.#names.has(path) ? "file" : undefined,
      sizeOf: (path) => io("stat", () => size(path)),
      read: (path) => io("read", () => read(path)),
      stream: (path) =>
        io("stream", () => {
          const bytes = read(path);
          return bytes === undefined ? undefined : pieces(bytes);
        }),
      open: (path) =>
        io("open", () => ({
          read: (at, into) => io("pread", () => fileAt(path).seen.read(at, into)),
          [Symbol.dispose]: () => {},
        })),
      create: (path) =>
        io("create", () => {
          this.#needsRoom(path);
          const file = this.#fileFor(path);
          file.change({ kind: "truncate", length: 0 });
          return {
            write: (bytes) => io("write", () => this.#append(file, bytes)),
            sync: () => this.#sync(boot, file, path),
            [Symbol.dispose]: () => {},
          };
        }),
      openLog: (path) => io("openlog", () => this.#log(boot, path)),
      rename: (from, to) =>
        io("rename", () => {
          const file = fileAt(from);
          this.#changeNames([{ path: from, file: undefined }, { path: to, file }]);
        }),
      remove: (path) => io("remove", () => this.#remove(path)),
      syncDirectory: (path) =>
        io("syncdir", () => {
          if (this.#options.lies) return;
          for (const change of this.#name_changes.get(path) ?? []) this.#settleNames(change);
          this.#name_changes.delete(path);
        }),
    };
  }

  #log(boot: number, path: string): DurableFile {
    const file = this.#fileFor(path);
    return {
      append: (bytes) => this.#io(boot, "append", () => this.#append(file, bytes)),
      sync: () => this.#sync(boot, file, path),
      truncate: (length) =>
        this.#io(boot, "truncate", () => file.change({ kind: "truncate", length })),
      close: () => {},
    };
  }

  /** Takes effect at once, answers later: a program must not know which of its calls got through. */
  #io<T>(boot: number, what: string, work: () => T): Promise<T> {
    const { random, scheduler, faults } = this.#options;
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    if (boot !== this.#boot) return promise;
    let failure: Error | undefined;
    let result: T | undefined;
    if (random.chance(faults.disk_error)) {
      failure = new Error(EIO);
      this.#options.note(`disk: ${what} fails`);
    } else {
      try {
        result = work();
      } catch (error) {
        failure = error instanceof Error ? error : new Error(String(error));
      }
    }
    scheduler.after(random.wait(200, 20_000, 0.05), `disk ${what}`, () => {
      if (boot !== this.#boot) return;
      if (failure === undefined) resolve(result as T);
      else reject(failure);
    });
    return promise;
  }

  /** What was written before the call counts once it answers, and at any moment until then. */
  #sync(boot: number, file: SimulatedFile, path: string): Promise<void> {
    const { random, scheduler, faults, lies } = this.#options;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    if (boot !== this.#boot) return promise;
    const upto = file.changes.length;
    const fails = random.chance(faults.sync_error);
    // The platter has it before the program hears: a crash in between loses the answer alone.
    const spun_us = random.wait(1_000, 40_000, 0.03);
    scheduler.after(spun_us, "disk spins", () => {
      if (boot !== this.#boot) return;
      if (fails) {
        file.changes.splice(0, upto);
        file.dropped = true;
        this.#options.note(`disk: sync of ${path} fails, ${upto} changes dropped`);
      } else if (!lies) file.settle(upto);
      scheduler.after(random.between(1, 200), "disk sync", () => {
        if (boot !== this.#boot) return;
        if (fails) reject(new Error(EIO));
        else resolve();
      });
    });
    return promise;
  }

  #append(file: SimulatedFile, bytes: Uint8Array): void {
    // Copied: the program may use its buffer again.
    if (!this.full) return file.change({ kind: "append", bytes: bytes.slice() });
    const taken = this.#options.random.below(bytes.length);
    file.change({ kind: "append", bytes: bytes.slice(0, taken) });
    throw new Error(ENOSPC);
  }

  #needsRoom(path: string): void {
    if (this.full && !this.#names.has(path)) throw new Error(ENOSPC);
  }

  #fileFor(path: string): SimulatedFile {
    const known = this.#names.get(path);
    if (known !== undefined) return known;
    const file = new SimulatedFile();
    this.#changeNames([{ path, file }]);
    return file;
  }

  #lock(path: string): { release(): void } | undefined {
    if (this.#locks.has(path)) return undefined;
    this.#locks.add(path);
    const boot = this.#boot;
    return { release: () => void (boot === this.#boot && this.#locks.delete(path)) };
  }

  #remove(path: string): void {
    const below = [...this.#names.keys()].filter((name) =>
      name === path || name.startsWith(`${path}/`)
    );
    for (const name of below) this.#changeNames([{ path: name, file: undefined }]);
  }

  #changeNames(change: NameChange): void {
    this.#setNames(this.#names, change);
    const directory = dirname(change[0]?.path ?? "/");
    const changes = this.#name_changes.get(directory) ?? [];
    changes.push(change);
    this.#name_changes.set(directory, changes);
  }

  #settleNames(change: NameChange): void {
    this.#setNames(this.#durable_names, change);
  }

  #setNames(names: Map<string, SimulatedFile>, change: NameChange): void {
    for (const { path, file } of change) {
      if (file === undefined) names.delete(path);
      else names.set(path, file);
    }
  }
}

async function* pieces(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  await Promise.resolve();
  yield bytes;
}
