/**
 * Entry of the spool's writer thread: a commit blocks its thread for a sync, so it is not the event
 * loop's.
 *
 * Loading this file as a worker needs read access to this folder and `storage/sqlite`.
 *
 * @module
 */
/// <reference lib="deno.worker" />
import { Connection } from "./connection.ts";
import type { WriterRequest } from "./protocol.ts";

const connection = new Connection();

self.onmessage = (event: MessageEvent<WriterRequest>) => {
  self.postMessage(connection.answer(event.data));
  if (event.data.kind === "close") self.close();
};
