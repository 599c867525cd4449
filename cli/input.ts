/**
 * What a person types: whole lines, or single keys while a screen is shown.
 *
 * @module
 */

/** One key press: a printable character, or one of the names. */
export type Key = "up" | "down" | "enter" | "backspace" | "escape" | { readonly text: string };

/** Standard input, as commands use it. */
export interface Input {
  /** A person sits there. */
  readonly interactive: boolean;
  /** The next line without its end; `undefined` at the end of input. */
  line(): Promise<string | undefined>;
  /**
   * Everything to the end of input, as bytes.
   *
   * @returns `undefined` when it is longer than `bytes_max`.
   */
  all(bytes_max: number): Promise<Uint8Array | undefined>;
  /** Key presses; the terminal echoes nothing meanwhile. */
  keys(): AsyncIterable<Key>;
}

/** Longest line taken, in bytes; the rest of it is dropped. */
const LINE_BYTES_MAX = 8_192;

/** Nobody types: for programs that were started without a terminal, and for tests. */
export const NO_INPUT: Input = {
  interactive: false,
  line: () => Promise.resolve(undefined),
  all: () => Promise.resolve(new Uint8Array()),
  keys: async function* () {},
};

/** Standard input of this process. */
export function processInput(): Input {
  return { interactive: Deno.stdin.isTerminal(), line: readLine, all: readAll, keys: readKeys };
}

async function readLine(): Promise<string | undefined> {
  const bytes: number[] = [];
  const one = new Uint8Array(1);
  while (true) {
    const count = await Deno.stdin.read(one);
    const byte = one[0] ?? 0;
    if (count === null && bytes.length === 0) return undefined;
    if (count === null || byte === 0x0a) break;
    if (bytes.length < LINE_BYTES_MAX) bytes.push(byte);
  }
  return new TextDecoder().decode(new Uint8Array(bytes)).replace(/\r$/, "");
}

async function readAll(bytes_max: number): Promise<Uint8Array | undefined> {
  const bytes = new Uint8Array(bytes_max + 1);
  let length = 0;
  while (length < bytes.length) {
    const count = await Deno.stdin.read(bytes.subarray(length));
    if (count === null) return bytes.subarray(0, length);
    length += count;
  }
  bytes.fill(0);
  return undefined;
}

async function* readKeys(): AsyncGenerator<Key> {
  const decoder = new TextDecoder();
  const chunk = new Uint8Array(256);
  Deno.stdin.setRaw(true, { cbreak: true });
  try {
    while (true) {
      const count = await Deno.stdin.read(chunk);
      if (count === null) return;
      yield* keysIn(decoder.decode(chunk.subarray(0, count), { stream: true }));
    }
  } finally {
    Deno.stdin.setRaw(false);
  }
}

const NAMED: Readonly<Record<string, Key>> = {
  "\u001b[A": "up",
  "\u001bOA": "up",
  "\u001b[B": "down",
  "\u001bOB": "down",
  "\u001b": "escape",
  "\r": "enter",
  "\n": "enter",
  "\u007f": "backspace",
  "\b": "backspace",
};

/** The keys in what a terminal sent. Sequences that mean no key of ours are dropped. */
export function* keysIn(sent: string): Generator<Key> {
  // deno-lint-ignore no-control-regex -- terminals speak in control characters
  for (const [part] of sent.matchAll(/\u001b(?:\[[0-9;]*[A-Za-z~]|O[A-Z])?|[\s\S]/gu)) {
    const named = NAMED[part];
    if (named !== undefined) yield named;
    // deno-lint-ignore no-control-regex -- what is left over of them is no text
    else if (!/^[\u0000-\u001f]/.test(part)) yield { text: part };
  }
}
