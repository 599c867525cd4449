/**
 * Lines of the runtime's log that a program which started it waits for: each is the `message` of
 * one JSON object on standard error.
 *
 * @module
 */

/** The runtime serves its sockets. */
export const RUNTIME_READY = "ready";

/** A process connected to the permission broker; `pid` where the kernel tells. */
export const AGENT_CONNECTED = "an agent process asks the permission broker";

/** Its connection is gone: it ended, or closed Deno's socket. `pid` as above. */
export const AGENT_DISCONNECTED = "an agent process ended its connection to the permission broker";

/** What came on its connection is not what Deno sends; `why` says what. `pid` as above. */
export const AGENT_VIOLATION = "an agent process spoke something other than Deno's protocol";
