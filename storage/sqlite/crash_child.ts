/**
 * Writes records until it is killed, and says on standard output which ones were acknowledged.
 * Run by `crash_test.ts`.
 *
 * @module
 */
import { agentNumber } from "./records_arbitrary.ts";
import { SqliteStore } from "./store.ts";

const [path = "", start = "0", lanes = "1"] = Deno.args;
const encoder = new TextEncoder();
const store = await SqliteStore.open({ path });
let next = Number(start);

async function lane(): Promise<never> {
  while (true) {
    const index = next++;
    await store.commit([{ kind: "put_agent", agent: agentNumber(index) }]);
    Deno.stdout.writeSync(encoder.encode(`${index}\n`));
  }
}

await Promise.all(Array.from({ length: Number(lanes) }, lane));
