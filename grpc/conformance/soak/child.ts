/**
 * A program under soak: spawned, listened to line by line, looked at in /proc.
 *
 * @module
 */

/** One line of a program; what else is in it depends on `type`. */
export interface Line {
  readonly type: "ready" | "sample" | "mistake" | "ended";
  readonly at_ms: number;
  readonly [key: string]: unknown;
}

const STDERR_CHARS_MAX = 4000;

/** One running program that prints JSON lines. */
export class Child {
  readonly name: string;
  readonly process: Deno.ChildProcess;
  readonly lines: Line[] = [];
  stderr = "";
  /** It was killed on purpose: how it ended says nothing. */
  expendable = false;
  readonly ended: Promise<Deno.CommandStatus>;
  readonly #onLine: (child: Child, line: Line) => void;
  #wake: (() => void)[] = [];
  #over = false;

  constructor(
    name: string,
    [command, args]: [string, string[]],
    onLine: (child: Child, line: Line) => void,
  ) {
    this.name = name;
    this.#onLine = onLine;
    this.process = new Deno.Command(command, {
      args,
      cwd: "/",
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    const read = Promise.all([this.#readLines(), this.#readErrors()]);
    this.ended = this.process.status.then(async (status) => {
      await read;
      this.#over = true;
      for (const wake of this.#wake.splice(0)) wake();
      return status;
    });
  }

  /** The first line of a type, when it is there. */
  async line(type: Line["type"], timeout_ms: number): Promise<Line> {
    const end_ms = Date.now() + timeout_ms;
    for (;;) {
      const found = this.lines.find((line) => line.type === type);
      if (found !== undefined) return found;
      if (this.#over || Date.now() >= end_ms) {
        throw new Error(`${this.name} did not say \`${type}\`: ${this.stderr.slice(-1000)}`);
      }
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, end_ms - Date.now());
        this.#wake.push(() => {
          clearTimeout(timer);
          resolve();
        });
      });
    }
  }

  signal(signal: Deno.Signal): void {
    try {
      this.process.kill(signal);
    } catch {
      // It has ended already.
    }
  }

  /** Resident memory, open descriptors, and sockets among them, now; undefined once it is gone. */
  look(): { rss_bytes: number; descriptors: number; sockets: number } | undefined {
    try {
      const folder = `/proc/${this.process.pid}`;
      const status = Deno.readTextFileSync(`${folder}/status`);
      const kibibytes = Number(/^VmRSS:\s*([0-9]+) kB$/m.exec(status)?.[1] ?? 0);
      const names = [...Deno.readDirSync(`${folder}/fd`)].map(({ name }) => name);
      const sockets = names.filter((name) => isSocket(`${folder}/fd/${name}`)).length;
      return { rss_bytes: kibibytes * 1024, descriptors: names.length, sockets };
    } catch {
      return undefined;
    }
  }

  async #readLines(): Promise<void> {
    let rest = "";
    for await (const text of this.process.stdout.pipeThrough(new TextDecoderStream())) {
      const lines = (rest + text).split("\n");
      rest = lines.pop() ?? "";
      for (const each of lines) {
        const line: Line = { ...JSON.parse(each), at_ms: Date.now() };
        // Samples are the caller's to keep: here they would pile up for the whole run.
        if (line.type !== "sample") this.lines.push(line);
        this.#onLine(this, line);
      }
      for (const wake of this.#wake.splice(0)) wake();
    }
  }

  async #readErrors(): Promise<void> {
    for await (const text of this.process.stderr.pipeThrough(new TextDecoderStream())) {
      this.stderr = (this.stderr + text).slice(-STDERR_CHARS_MAX);
    }
  }
}

function isSocket(path: string): boolean {
  try {
    return Deno.readLinkSync(path).startsWith("socket:");
  } catch {
    return false; // Closed by now.
  }
}
