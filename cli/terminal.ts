/**
 * Where a command writes, and how wide and colourful it may be.
 *
 * @module
 */

/** The two output streams of a program and what they can show. */
export interface Terminal {
  /** Writes to standard output as it is. */
  out(text: string): void;
  /** Writes to standard error as it is. */
  err(text: string): void;
  /** Standard output is a terminal: tables get borders. */
  readonly interactive: boolean;
  readonly colors: boolean;
  /** Columns; `undefined` when nobody is looking. */
  readonly width: number | undefined;
}

/**
 * The terminal of this process.
 *
 * @param no_color The flag; `NO_COLOR` in the environment counts too.
 */
export function processTerminal(no_color: boolean): Terminal {
  const interactive = Deno.stdout.isTerminal();
  const encoder = new TextEncoder();
  return {
    out: (text) => writeAll(Deno.stdout, encoder.encode(text)),
    err: (text) => writeAll(Deno.stderr, encoder.encode(text)),
    interactive,
    colors: interactive && !no_color && !Deno.noColor,
    width: interactive ? columns() : undefined,
  };
}

interface SyncWriter {
  writeSync(bytes: Uint8Array): number;
}

function writeAll(stream: SyncWriter, bytes: Uint8Array): void {
  for (let written = 0; written < bytes.byteLength;) {
    written += stream.writeSync(bytes.subarray(written));
  }
}

function columns(): number | undefined {
  try {
    return Deno.consoleSize().columns;
  } catch {
    // Output is a terminal that does not tell its size.
    return undefined;
  }
}
