/**
 * The command-line flags of the interoperability programs: `--name=value`, `--name` for true.
 *
 * @module
 */

/** Given flags by name. */
export type Flags = ReadonlyMap<string, string>;

/**
 * Reads flags.
 *
 * @throws TypeError when an argument is no flag of `known`
 */
export function parseFlags(args: readonly string[], known: readonly string[]): Flags {
  const flags = new Map<string, string>();
  for (const arg of args) {
    const [, name = "", value = "true"] = /^--?([a-z_]+)(?:=(.*))?$/s.exec(arg) ?? [];
    if (!known.includes(name)) {
      throw new TypeError(`argument \`${arg}\` is none of --${known.join(", --")}`);
    }
    flags.set(name, value);
  }
  return flags;
}
