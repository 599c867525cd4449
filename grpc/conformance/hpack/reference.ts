/**
 * The Python reference as a process: a batch of questions out, a batch of answers back.
 *
 * @module
 */

/** Builds a batch. */
export class Question {
  #bytes = new Uint8Array(64 * 1024);
  #length = 0;

  get length(): number {
    return this.#length;
  }

  u8(value: number): this {
    this.#room(1);
    this.#bytes[this.#length++] = value;
    return this;
  }

  u32(value: number): this {
    this.#room(4);
    new DataView(this.#bytes.buffer).setUint32(this.#length, value);
    this.#length += 4;
    return this;
  }

  /** Bytes with their length, or a text of one byte per character. */
  text(value: Uint8Array | string): this {
    this.u32(value.length);
    this.#room(value.length);
    if (typeof value === "string") {
      for (let index = 0; index < value.length; index++) {
        this.#bytes[this.#length + index] = value.charCodeAt(index);
      }
    } else {
      this.#bytes.set(value, this.#length);
    }
    this.#length += value.length;
    return this;
  }

  take(): Uint8Array<ArrayBuffer> {
    const bytes = this.#bytes.slice(0, this.#length);
    this.#length = 0;
    return bytes;
  }

  #room(count: number): void {
    if (this.#length + count <= this.#bytes.length) return;
    const grown = new Uint8Array(Math.max(2 * this.#bytes.length, this.#length + count));
    grown.set(this.#bytes);
    this.#bytes = grown;
  }
}

/** Reads a batch of answers in order. */
export class Answer {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #at = 0;

  constructor(bytes: Uint8Array<ArrayBuffer>) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  }

  get atEnd(): boolean {
    return this.#at === this.#bytes.length;
  }

  u8(): number {
    return this.#view.getUint8(this.#at++);
  }

  u32(): number {
    this.#at += 4;
    return this.#view.getUint32(this.#at - 4);
  }

  bytes(): Uint8Array {
    const length = this.u32();
    this.#at += length;
    return this.#bytes.subarray(this.#at - length, this.#at);
  }

  /** Bytes as one character each. */
  text(): string {
    const bytes = this.bytes();
    let text = "";
    for (let at = 0; at < bytes.length; at += 4096) {
      text += String.fromCharCode(...bytes.subarray(at, at + 4096));
    }
    return text;
  }
}

/** `/usr/bin/python3` with Debian's `python3-hpack`. */
export class Reference {
  readonly #process: Deno.ChildProcess;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array<ArrayBuffer>>;
  readonly #reader: ReadableStreamBYOBReader;

  private constructor(process: Deno.ChildProcess) {
    this.#process = process;
    this.#writer = process.stdin.getWriter();
    this.#reader = process.stdout.getReader({ mode: "byob" });
  }

  /** @throws Error when the package is missing, naming it */
  static async start(): Promise<Reference> {
    const check = await new Deno.Command("/usr/bin/python3", {
      args: ["-c", "import hpack; assert hpack.__version__.startswith('4.')"],
      cwd: "/",
    }).output();
    if (!check.success) {
      throw new Error("no Python hpack 4: install the Debian package `python3-hpack`");
    }
    return new Reference(
      new Deno.Command("/usr/bin/python3", {
        args: [new URL("./reference.py", import.meta.url).pathname],
        cwd: "/",
        stdin: "piped",
        stdout: "piped",
      }).spawn(),
    );
  }

  async ask(question: Question): Promise<Answer> {
    const body = question.take();
    const header = new Uint8Array(4);
    new DataView(header.buffer).setUint32(0, body.length);
    await this.#writer.write(header);
    await this.#writer.write(body);
    const length = await this.#read(4);
    return new Answer(await this.#read(new DataView(length.buffer).getUint32(0)));
  }

  async close(): Promise<void> {
    await this.#writer.close();
    await this.#reader.cancel();
    await this.#process.status;
  }

  async #read(count: number): Promise<Uint8Array<ArrayBuffer>> {
    if (count === 0) return new Uint8Array(0);
    const { value, done } = await this.#reader.read(new Uint8Array(count), { min: count });
    if (done || value === undefined) throw new Error("the reference ended: see its error above");
    return value as Uint8Array<ArrayBuffer>;
  }
}
