/**
 * Loaded before every test module: property tests draw the same cases in every run, so that a green
 * commit stays green. `deno task test --seed=random` draws fresh ones; a failure prints its seed,
 * and `--seed=N` repeats it.
 *
 * @module
 */
import fc from "fast-check";

const asked = Deno.env.get("PROPERTY_SEED");
if (asked !== "random") {
  const seed = Number(asked ?? 24301);
  fc.configureGlobal({ ...fc.readConfigureGlobal(), seed });
}
