/**
 * Runs `aasm` in this process, with what it writes caught.
 *
 * @module
 */
import type { Input } from "../input.ts";
import { run } from "../run.ts";

/** What a run left behind. */
export interface Finished {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** How the caught terminal looks. Nobody is looking, unless said otherwise. */
export interface Look {
  readonly interactive?: boolean;
  readonly colors?: boolean;
  readonly width?: number;
  readonly signal?: AbortSignal;
  /** Wall clock of the run; {@linkcode NOW_MS} otherwise. */
  readonly now_ms?: number;
  /** Who types; nobody otherwise. */
  readonly input?: Input;
  /** Called with every write to standard output. */
  readonly onOut?: (text: string) => void;
}

/** Noon of a Wednesday. */
export const NOW_MS = Date.UTC(2026, 0, 7, 12);

/** Runs one command line. */
export async function runCli(argv: readonly string[], look: Look = {}): Promise<Finished> {
  let out = "";
  let err = "";
  const code = await run(argv, {
    terminal: (no_color) => ({
      out: (text) => {
        out += text;
        look.onOut?.(text);
      },
      err: (text) => err += text,
      interactive: look.interactive ?? false,
      colors: look.colors === true && !no_color,
      width: look.width,
    }),
    ...(look.input === undefined ? {} : { input: look.input }),
    signal: look.signal ?? new AbortController().signal,
    now_ms: () => look.now_ms ?? NOW_MS,
  });
  return { code, out, err };
}
