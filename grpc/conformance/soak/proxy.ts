/**
 * The proxy some clients go through, which half-closes and resets on command.
 *
 * @module
 */

/** `proxy.py` as a process. */
export class Proxy {
  readonly #process: Deno.ChildProcess;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array<ArrayBuffer>>;
  readonly #lines: ReadableStreamDefaultReader<string>;
  #rest = "";
  port = 0;

  private constructor([command, args]: [string, string[]]) {
    this.#process = new Deno.Command(command, {
      args,
      cwd: "/",
      stdin: "piped",
      stdout: "piped",
      stderr: "null",
    }).spawn();
    this.#writer = this.#process.stdin.getWriter();
    this.#lines = this.#process.stdout.pipeThrough(new TextDecoderStream()).getReader();
  }

  static async start(command: [string, string[]]): Promise<Proxy> {
    const proxy = new Proxy(command);
    proxy.port = Number(await proxy.#line());
    return proxy;
  }

  get pid(): number {
    return this.#process.pid;
  }

  /** Does what `proxy.py` offers; resolves when it is done. */
  async tell(command: "half_close" | "reset" | `freeze ${number}`): Promise<void> {
    await this.#writer.write(new TextEncoder().encode(`${command}\n`));
    await this.#line();
  }

  async close(): Promise<void> {
    await this.#writer.close();
    await this.#lines.cancel();
    await this.#process.status;
  }

  async #line(): Promise<string> {
    while (!this.#rest.includes("\n")) {
      const { value, done } = await this.#lines.read();
      if (done) throw new Error("the proxy ended");
      this.#rest += value;
    }
    const [line = "", ...rest] = this.#rest.split("\n");
    this.#rest = rest.join("\n");
    return line;
  }
}
