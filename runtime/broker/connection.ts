/**
 * One process's connection: requests in, answers out, one at a time and in order. Deno never sends
 * a second request before the first is answered and never repeats an id; what does is not Deno but
 * code that got hold of its connection, and the connection ends.
 *
 * @module
 */
import type { AskingProcess, Judge } from "./judge.ts";
import { LineReader } from "./lines.ts";
import { BROKER_LIMITS } from "./limits.ts";
import { answerLine, parseRequest, type PermissionRequest } from "./protocol.ts";

/** How a connection ended. */
export type ConnectionEnd =
  /** The process closed it: it ended, or something in it closed Deno's socket. */
  | { readonly kind: "closed" }
  /** What came is not what Deno sends. */
  | { readonly kind: "violation"; readonly why: string };

/** The stream of one process; closing is the caller's. */
export interface ByteStream {
  readonly read: (into: Uint8Array) => Promise<number | null>;
  readonly write: (bytes: Uint8Array) => Promise<number>;
}

const READ_BYTES = 16_384;

/** Serves one connection until it ends. Never rejects. */
export async function serveConnection(
  stream: ByteStream,
  judge: Judge,
  process: AskingProcess,
): Promise<ConnectionEnd> {
  const gone = new AbortController();
  try {
    return await new Served(stream, judge, process, gone.signal).run();
  } catch {
    return { kind: "closed" };
  } finally {
    gone.abort();
  }
}

class Served {
  readonly #lines = new LineReader(BROKER_LIMITS.request_bytes);
  readonly #encoder = new TextEncoder();
  #last_id = 0;
  #judging = false;
  /** Rejects when an answer could not be written. */
  readonly #failed = Promise.withResolvers<never>();

  constructor(
    private readonly stream: ByteStream,
    private readonly judge: Judge,
    private readonly process: AskingProcess,
    private readonly signal: AbortSignal,
  ) {
    this.#failed.promise.catch(() => {});
  }

  async run(): Promise<ConnectionEnd> {
    const chunk = new Uint8Array(READ_BYTES);
    for (;;) {
      const read = await Promise.race([this.stream.read(chunk), this.#failed.promise]);
      if (read === null) return { kind: "closed" };
      const lines = this.#lines.push(chunk.subarray(0, read));
      if (lines === "too_long") return violation("a request is too long");
      for (const line of lines) {
        const why = this.#take(line);
        if (why !== undefined) return violation(why);
      }
    }
  }

  /** Starts judging a line, or says what is wrong with it. */
  #take(line: string): string | undefined {
    if (this.#judging) return "a request came before the last one was answered";
    const parsed = parseRequest(line);
    if (!parsed.ok) return parsed.why;
    const { request } = parsed;
    if (request.id !== this.#last_id + 1) return "request ids do not ascend by one";
    this.#last_id = request.id;
    this.#judging = true;
    this.#judge(request).catch((error) => this.#failed.reject(error));
    return undefined;
  }

  async #judge(request: PermissionRequest): Promise<void> {
    const verdict = await this.judge.judge(request, this.process, this.signal);
    if (this.signal.aborted) return;
    // Before the answer can arrive: the next request may come the moment it does.
    this.#judging = false;
    let rest = this.#encoder.encode(answerLine(request.id, verdict));
    while (rest.length > 0) rest = rest.subarray(await this.stream.write(rest));
  }
}

function violation(why: string): ConnectionEnd {
  return { kind: "violation", why };
}
