/**
 * Load from h2load (nghttp2), with the time of every request.
 *
 * @module
 */

import { output } from "./children.ts";
import type { Figures } from "./figures.ts";

/** One load. */
export interface Load {
  /** Arguments beside the number of requests, for example `-c 4 -m 16`. */
  readonly shape: readonly string[];
  readonly url: string;
  readonly requests: number;
  /** File with the body of every request. */
  readonly body: string;
  readonly headers: readonly string[];
  readonly directory: string;
}

/** Runs a load to its end, bound to core 1. */
export async function h2load(load: Load): Promise<Figures> {
  const log = `${load.directory}/h2load.log`;
  await Deno.remove(log).catch(() => {});
  const { success, stdout, stderr } = await output({
    command: [
      "h2load",
      ...load.shape,
      "-n",
      String(load.requests),
      `--log-file=${log}`,
      "-d",
      load.body,
      ...load.headers.flatMap((header) => ["-H", header]),
      load.url,
    ],
  }, 1);
  if (!success) throw new Error(`h2load failed:\n${stdout}${stderr}`);
  const figures = readLog(await Deno.readFile(log), load.requests);
  // A gRPC call that fails has status 200 too, but not the answer.
  const answered = Number(/^traffic: .*\((\d+)\) data$/m.exec(stdout)?.[1]);
  const expected = figures.units * (await Deno.stat(load.body)).size;
  if (figures.failed === 0 && answered !== expected) {
    throw new Error(`the answers of ${load.url} have ${answered} bytes, not ${expected}`);
  }
  return figures;
}

/** Lines of start (us since the epoch), status and duration (us), apart by tabs. */
function readLog(log: Uint8Array, requests: number): Figures {
  const times = new Uint32Array(requests);
  let count = 0;
  let first = Infinity;
  let last = 0;
  const columns = [0, 0, 0];
  let column = 0;
  for (const byte of log) {
    if (byte >= 0x30 && byte <= 0x39) columns[column] = (columns[column] ?? 0) * 10 + byte - 0x30;
    else if (byte === 0x09) column++;
    else if (byte === 0x0a) {
      const [start = 0, status = 0, took = 0] = columns;
      if (status === 200) times[count++] = took;
      first = Math.min(first, start);
      last = Math.max(last, start + took);
      columns.fill(0);
      column = 0;
    }
  }
  const sorted = times.subarray(0, count).sort();
  const at = (q: number) => sorted[Math.min(count - 1, Math.floor(count * q))] ?? NaN;
  const seconds = count === 0 ? NaN : (last - first) / 1e6;
  return {
    units: count,
    seconds,
    rate: count / seconds,
    failed: requests - count,
    p50_us: at(0.5),
    p99_us: at(0.99),
    max_us: at(1),
  };
}
