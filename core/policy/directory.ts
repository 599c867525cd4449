/**
 * Which files of a policy directory are policies, and in which order they apply (contract
 * `policy-and-gateway` §1.8). One choice for every program; reading the directory is theirs.
 *
 * @module
 */

/** The chosen file names, in the order of the cascade, and what was left out with a word. */
export interface PolicyFileChoice {
  readonly names: readonly string[];
  readonly warnings: readonly string[];
}

/**
 * Chooses among the names of the plain files of a directory.
 *
 * `*.yaml` in code-unit order are policies; `*.test.yaml` are policy tests; `*.yml` are named in a
 * warning, because the reference ignores them silently.
 *
 * @param directory Shown in warnings.
 * @param names File names, without subdirectories.
 */
export function choosePolicyFiles(directory: string, names: Iterable<string>): PolicyFileChoice {
  const chosen: string[] = [];
  const warnings: string[] = [];
  for (const name of names) {
    if (name.endsWith(".yml")) {
      warnings.push(`${directory}/${name}: not loaded: policy files end in .yaml, rename it`);
    } else if (name.endsWith(".yaml") && !name.endsWith(".test.yaml")) {
      chosen.push(name);
    }
  }
  // Plain code-unit order: the cascade depends on it, so no locale may change it.
  return { names: chosen.sort(), warnings: warnings.sort() };
}
