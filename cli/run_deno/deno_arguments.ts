/**
 * The words after `--`, made fit for the permission broker. The program and its own arguments stay
 * as they are.
 *
 * @module
 */

/** Subcommands that run a program in a process that asks the broker. */
const GOVERNED = ["run", "serve", "test", "bench", "eval"] as const;

/** Deno's other subcommands: they run programs the broker never hears of, or none. */
const OTHERS: ReadonlySet<string> = new Set([
  "add",
  "approve-scripts",
  "audit",
  "bundle",
  "bump-version",
  "cache",
  "check",
  "ci",
  "clean",
  "compile",
  "completions",
  "coverage",
  "create",
  "deploy",
  "desktop",
  "doc",
  "fmt",
  "help",
  "info",
  "init",
  "install",
  "jupyter",
  "lint",
  "lsp",
  "outdated",
  "pack",
  "publish",
  "remove",
  "repl",
  "sandbox",
  "task",
  "transpile",
  "types",
  "uninstall",
  "update",
  "upgrade",
  "vendor",
  "why",
  "x",
]);

/**
 * A denial of a path that nobody has. Under `-A`, and under `--allow-read` without a path, Deno lets
 * `require()` read whatever it likes without asking the broker; with any denied path it asks
 * (`deno_protocol_test.ts` holds both). It narrows nothing else: the broker overrides flags.
 */
export const READ_GUARD = "--deny-read=/dev/null/aasm";

/** The arguments to start Deno with, or why that would not be governed. */
export type DenoArguments =
  | { readonly ok: true; readonly args: readonly string[] }
  | { readonly ok: false; readonly why: string };

/**
 * @param words What was given after `--`: `run -A agent.ts x`, or `agent.ts x` as Deno takes it.
 */
export function denoArguments(words: readonly string[]): DenoArguments {
  const [first = ""] = words;
  if (first === "") return { ok: false, why: "no program was given" };
  if (GOVERNED.some((subcommand) => subcommand === first)) {
    return { ok: true, args: [first, READ_GUARD, ...words.slice(1)] };
  }
  if (OTHERS.has(first)) {
    return {
      ok: false,
      why: `\`deno ${first}\` runs no program that asks the broker: give one of ` +
        `${GOVERNED.join(", ")}, or a script`,
    };
  }
  // A script, or flags and then a script: what Deno takes for `run`.
  return { ok: true, args: ["run", READ_GUARD, ...words] };
}
