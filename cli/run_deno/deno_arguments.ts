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
  "link",
  "lint",
  "list",
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
  "unlink",
  "update",
  "upgrade",
  "vendor",
  "watch",
  "why",
  "x",
]);

/** Flags of `deno run` whose value is a word of its own. */
export const VALUE_FLAGS: ReadonlySet<string> = new Set([
  "--cert",
  "--conditions",
  "--config",
  "--ext",
  "--import-map",
  "--inspect-publish-uid",
  "--location",
  "--log-level",
  "--min-dep-age",
  "--node-modules-linker",
  "--preload",
  "--require",
  "--seed",
  "-L",
  "-c",
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
  if (OTHERS.has(first)) {
    return {
      ok: false,
      why: `\`deno ${first}\` runs no program that asks the broker: give one of ` +
        `${GOVERNED.join(", ")}, or a script`,
    };
  }
  const subcommand = GOVERNED.find((one) => one === first);
  // Without one: a script, or flags and then a script, what Deno takes for `run`.
  const rest = subcommand === undefined ? words : words.slice(1);
  if (subcommand === undefined || subcommand === "run") {
    const program = programOf(rest);
    if (program === undefined) return { ok: false, why: "no program was given" };
    if (!/[./:]/.test(program) && program !== "-") {
      return {
        ok: false,
        why: `\`${program}\` may be a task, whose commands the broker never hears of: ` +
          `name a file, e.g. \`./${program}\``,
      };
    }
  }
  return { ok: true, args: [subcommand ?? "run", READ_GUARD, ...rest] };
}

/** The first word that is neither a flag nor a flag's value. */
function programOf(words: readonly string[]): string | undefined {
  return words.find((word, at) =>
    (word === "-" || !word.startsWith("-")) && !VALUE_FLAGS.has(words[at - 1] ?? "")
  );
}
