/**
 * Messages on standard input and output, each behind its length in four bytes, big-endian: how
 * `connectconformance` talks with the programs it starts.
 *
 * @module
 */

/** The next message, or undefined when there is none. */
export async function readMessage(): Promise<Uint8Array<ArrayBuffer> | undefined> {
  const prefix = await readExactly(4);
  if (prefix === undefined) return undefined;
  const message = await readExactly(new DataView(prefix.buffer).getUint32(0));
  if (message === undefined) throw new Error("standard input ended inside a message");
  return message;
}

async function readExactly(length: number): Promise<Uint8Array<ArrayBuffer> | undefined> {
  const bytes = new Uint8Array(length);
  for (let filled = 0; filled < length;) {
    const count = await Deno.stdin.read(bytes.subarray(filled));
    if (count === null && filled === 0) return undefined;
    if (count === null) throw new Error("standard input ended inside a message");
    filled += count;
  }
  return bytes;
}

/** Writes a message; at once, so that several writers do not mix theirs. */
export function writeMessage(message: Uint8Array): void {
  const bytes = new Uint8Array(4 + message.length);
  new DataView(bytes.buffer).setUint32(0, message.length);
  bytes.set(message, 4);
  for (let written = 0; written < bytes.length;) {
    written += Deno.stdout.writeSync(bytes.subarray(written));
  }
}
