/**
 * A program of the suite under way: started, awaited until it is ready, watched, ended.
 *
 * @module
 */
import { CommandError, ExitCode } from "../exit_code.ts";

/** How to start one. */
export interface ProgramOptions {
  /** In messages, e.g. `the runtime`. */
  readonly name: string;
  /** Path of Deno. */
  readonly deno: string;
  readonly args: readonly string[];
  /** Whether a line of its standard error says that it serves. */
  readonly isReady: (line: string) => boolean;
  readonly ready_ms: number;
  /** Told every line once it is ready. */
  readonly onLine: (line: string) => void;
}

/** Lines kept for the message of a program that does not start. */
const KEPT_LINES = 20;

/** Longest line looked at; a longer one is cut. */
const LINE_CHARS_MAX = 16_384;

/** A started program. Its end of standard input keeps it alive: it ends when this process does. */
export class Program implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #name: string;
  readonly #lines: string[] = [];
  readonly #ready = Promise.withResolvers<void>();
  /** Resolves when it has ended, however. */
  readonly ended: Promise<Deno.CommandStatus>;

  private constructor(options: ProgramOptions) {
    this.#name = options.name;
    this.#child = new Deno.Command(options.deno, {
      args: [...options.args],
      stdin: "piped",
      stdout: "null",
      stderr: "piped",
    }).spawn();
    this.ended = this.#child.status;
    this.#ready.promise.catch(() => {});
    void this.#read(options);
  }

  /**
   * Starts a program and waits until it serves.
   *
   * @throws {CommandError} with what it said last, when it ends first or takes too long
   */
  static async start(options: ProgramOptions): Promise<Program> {
    const program = new Program(options);
    const timer = setTimeout(
      () => program.#ready.reject(program.#failure(`was not ready in ${options.ready_ms} ms`)),
      options.ready_ms,
    );
    void program.ended.then(({ code }) =>
      program.#ready.reject(program.#failure(`ended with code ${code}`))
    );
    try {
      await program.#ready.promise;
      return program;
    } catch (error) {
      await program[Symbol.asyncDispose]();
      throw error;
    } finally {
      clearTimeout(timer);
    }
  }

  /** Asks it to end, and waits. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#child.stdin.abort().catch(() => {});
    try {
      this.#child.kill("SIGTERM");
    } catch {
      // It has ended already.
    }
    await this.ended;
  }

  async #read({ isReady, onLine }: ProgramOptions): Promise<void> {
    let ready = false;
    for await (const line of linesOf(this.#child.stderr)) {
      if (ready) onLine(line);
      else if (isReady(line)) {
        ready = true;
        this.#ready.resolve();
      } else {
        this.#lines.push(line);
        if (this.#lines.length > KEPT_LINES) this.#lines.shift();
      }
    }
  }

  #failure(what: string): CommandError {
    const said = this.#lines.map((line) => `\n  ${line}`).join("");
    return new CommandError(
      `${this.#name} ${what}, so nothing was started${said}`,
      ExitCode.UNREACHABLE,
      "mend what it says above",
    );
  }
}

async function* linesOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  let rest = "";
  for await (const text of stream.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + text).split("\n");
    rest = (lines.pop() ?? "").slice(0, LINE_CHARS_MAX);
    yield* lines.map((line) => line.slice(0, LINE_CHARS_MAX));
  }
  if (rest !== "") yield rest;
}
