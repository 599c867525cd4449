/**
 * Other people's programs: found, built into the cache, run to their end or beside a suite.
 *
 * @module
 */
// deno-lint-ignore-file no-console

import type { Report } from "./report.ts";

const CONFORMANCE = new URL("./", import.meta.url).pathname;
const OUTPUT_CHARS_MAX = 20_000;
const DECODER = new TextDecoder();

/** Says what happens, with the time, so that a long build does not look like a hang. */
export function progress(text: string): void {
  console.log(`.. ${new Date().toISOString().slice(11, 19)} ${text}`);
}

/** The path of a file beside the suites. */
export function pathOf(name: string): string {
  return `${CONFORMANCE}${name}`;
}

/** A suite's own folder of the git-ignored cache, made when it is not there. */
export function cacheOf(suite: string): string {
  const folder = `${CONFORMANCE}.cache/${suite}`;
  Deno.mkdirSync(folder, { recursive: true });
  return folder;
}

/** How a program ended. */
export interface Ended {
  readonly success: boolean;
  /** What it wrote to its standard output and error output, the end of it when there was much. */
  readonly text: string;
}

/** How to run a program. */
export interface RunOptions {
  readonly cwd?: string;
  readonly env?: Record<string, string>;
  readonly signal?: AbortSignal;
}

/** Runs a program to its end. */
export async function runToEnd(
  command: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<Ended> {
  const output = await new Deno.Command(command, {
    ...options,
    args: [...args],
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).output();
  const text = DECODER.decode(output.stdout) + DECODER.decode(output.stderr);
  return { success: output.success, text: text.slice(-OUTPUT_CHARS_MAX) };
}

/**
 * Whether a program can be had.
 *
 * @param probe arguments under which it ends at once and well
 */
export async function isInstalled(command: string, probe: readonly string[]): Promise<boolean> {
  try {
    return (await runToEnd(command, probe)).success;
  } catch (reason) {
    if (reason instanceof Deno.errors.NotFound) return false;
    throw reason;
  }
}

/**
 * Builds a peer unless the same inputs were built before.
 *
 * @param inputs texts the build depends on: a stamp of them is kept beside the result
 * @throws Error with the end of the build's output when it fails
 */
export async function buildOnce(
  folder: string,
  name: string,
  inputs: readonly string[],
  build: () => Promise<Ended>,
): Promise<void> {
  const stamp = await digestOf(inputs);
  const stamp_path = `${folder}/${name}.stamp`;
  const known = await Deno.readTextFile(stamp_path).catch(() => "");
  if (known === stamp) return;
  const started_ms = Date.now();
  progress(`building ${name}`);
  const { success, text } = await build();
  if (!success) throw new Error(`building ${name} failed: ${text.slice(-2000)}`);
  await Deno.writeTextFile(stamp_path, stamp);
  progress(`built ${name} in ${Math.round((Date.now() - started_ms) / 1000)} s`);
}

async function digestOf(inputs: readonly string[]): Promise<string> {
  const bytes = new TextEncoder().encode(JSON.stringify(inputs));
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)).toHex();
}

/** A program that runs beside the suite and says on its first line where it listens. */
export class PeerProcess implements AsyncDisposable {
  /** The line that said it is ready, without blanks at its ends. */
  readonly first_line: string;
  readonly pid: number;
  readonly #child: Deno.ChildProcess;
  readonly #drained: Promise<unknown>;

  private constructor(child: Deno.ChildProcess, first_line: string, drained: Promise<unknown>) {
    this.#child = child;
    this.pid = child.pid;
    this.first_line = first_line;
    this.#drained = drained;
  }

  /**
   * Starts a program and waits for its first line of output, or the first that contains `ready`; its
   * error output is the suite's.
   *
   * @throws Error when it ends or does not get there within `timeout_ms`
   */
  static async start(
    command: string,
    args: readonly string[],
    options: RunOptions & { readonly timeout_ms?: number; readonly ready?: string } = {},
  ): Promise<PeerProcess> {
    const { timeout_ms = 60_000, ready = "", ...spawn } = options;
    const child = new Deno.Command(command, {
      ...spawn,
      args: [...args],
      stdin: "piped",
      stdout: "piped",
      stderr: "inherit",
    }).spawn();
    const reader = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
    const timer = setTimeout(() => child.kill("SIGKILL"), timeout_ms);
    let text = "";
    let line: string | undefined;
    while (line === undefined) {
      const { done, value } = await reader.read();
      if (done) break;
      text += value;
      const lines = text.split("\n");
      line = lines.slice(0, -1).find((candidate) => candidate.includes(ready));
    }
    clearTimeout(timer);
    if (line === undefined) {
      await child.stdin.abort().catch(() => {});
      await child.status;
      throw new Error(`\`${command}\` ended before it listened`);
    }
    return new PeerProcess(child, line.trim(), drain(reader));
  }

  /** Ends the program's input: peers take it as the wish to stop gracefully. */
  async closeInput(): Promise<void> {
    await this.#child.stdin.close().catch(() => {});
  }

  /** Resolves when the program has ended. */
  async ended(): Promise<Deno.CommandStatus> {
    await this.#drained;
    return await this.#child.status;
  }

  /** Begins the measurement of {@linkcode peakMemoryBytes} anew (Linux, proc(5) "clear_refs"). */
  async resetPeakMemory(): Promise<void> {
    await Deno.writeTextFile(`/proc/${this.pid}/clear_refs`, "5");
  }

  /** Largest resident set so far, in bytes (Linux). */
  async peakMemoryBytes(): Promise<number> {
    const status = await Deno.readTextFile(`/proc/${this.pid}/status`);
    return Number(/^VmHWM:\s+([0-9]+) kB$/m.exec(status)?.[1]) * 1024;
  }

  /** Stops the program: gracefully for `grace_ms`, then at once. */
  async stop(grace_ms = 2000): Promise<void> {
    await this.closeInput();
    const timer = setTimeout(() => {
      try {
        this.#child.kill("SIGKILL");
      } catch {
        // It has ended in the meantime.
      }
    }, grace_ms);
    await this.ended();
    clearTimeout(timer);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}

async function drain(reader: ReadableStreamDefaultReader<string>): Promise<void> {
  while (!(await reader.read()).done);
}

/** Prints the table of a suite and ends the program as its contents demand. */
export function conclude(report: Report): never {
  Deno.exit(report.print());
}
