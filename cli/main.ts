/**
 * `aasm`, the operator's command line.
 *
 * Permissions: exactly what `permissions.ts` derives from the arguments: the gateway's address when
 * it is asked, the files that flags name; no environment, no subprocess. `launch/main.ts aasm`
 * grants that list; started by hand with more, it uses no more.
 *
 * @module
 */
import { processInput } from "./input.ts";
import { run } from "./run.ts";
import { processTerminal } from "./terminal.ts";

if (import.meta.main) {
  const interrupt = new AbortController();
  const stop = () => {
    // A second Ctrl-C does not wait for anything.
    if (interrupt.signal.aborted) Deno.exit(130);
    interrupt.abort();
  };
  Deno.addSignalListener("SIGINT", stop);
  const code = await run(Deno.args, {
    terminal: processTerminal,
    input: processInput(),
    signal: interrupt.signal,
    now_ms: Date.now,
  });
  Deno.exit(code);
}
