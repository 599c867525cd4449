/**
 * The measured program: many file look-ups, each of which Deno asks permission for.
 * `program.ts DIRECTORY FILES`; prints one line of JSON. It knows nothing of a broker.
 *
 * @module
 */
// deno-lint-ignore-file no-console

const [directory = "", files = "0"] = Deno.args;

/** Microseconds a call. */
function measured(calls: number, call: (at: number) => void): number {
  const from = performance.now();
  for (let at = 0; at < calls; at++) call(at);
  return (performance.now() - from) * 1_000 / calls;
}

function stat(at: number): void {
  Deno.statSync(`${directory}/f${at}`);
}

// Until answers are cached, where they ever are: a runtime needs a moment to get its policy.
const patience = performance.now() + 5_000;
while (measured(20, () => stat(0)) > 400 && performance.now() < patience) {
  await new Promise((resolve) => setTimeout(resolve, 50));
}
const first_us = measured(Number(files) - 1, (at) => stat(at + 1));
const rounds = Array.from({ length: 9 }, () => measured(1_000, () => stat(0)));
console.log(JSON.stringify({ first_us, again_us: rounds.sort((a, b) => a - b)[4] }));
