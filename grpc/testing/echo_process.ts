/**
 * The echo service in a process of its own, for tests that kill it: prints its port, serves until it
 * is ended.
 *
 * @module
 */

import { startServer } from "./echo_server.ts";

const { port } = await startServer({}, {
  unary: async (request) => {
    // Long enough that a kill finds calls under way.
    await new Promise((resolve) => setTimeout(resolve, 2));
    return request;
  },
});
Deno.stdout.writeSync(new TextEncoder().encode(`${port}\n`));
