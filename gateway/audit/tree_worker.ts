/**
 * The tree's own thread: a {@linkcode TreeWriter} behind messages. Started by `tree_thread.ts`.
 *
 * @module
 */
import { createPrivateKey } from "node:crypto";
import { reasonOf } from "./errors.ts";
import { SYSTEM_HOST } from "./host.ts";
import { TreeWriter } from "./tree.ts";
import type { FromTree, ToTree } from "./tree_thread.ts";

/** Bytes taken between two reports of how far the tree is, while it has work. */
const REPORT_BYTES = 1_048_576;

/** The part of a worker's global scope that is used; the DOM's types are of another scope. */
interface WorkerScope {
  onmessage: ((event: MessageEvent<ToTree>) => void) | null;
  postMessage(message: FromTree): void;
}
const scope = globalThis as unknown as WorkerScope;

let tree: TreeWriter | undefined;
let fed_bytes = 0;
let reported_bytes = 0;

function report(): void {
  if (tree === undefined) return;
  reported_bytes = fed_bytes;
  const { published, failure, lag_bytes } = tree;
  scope.postMessage({ kind: "state", published, failure, fed_bytes, lag_bytes });
}

scope.onmessage = ({ data }) => {
  switch (data.kind) {
    case "start": {
      const { signer_name, private_key_pem, ...options } = data.options;
      const signer = { name: signer_name, private_key: createPrivateKey(private_key_pem) };
      const onTask = (idle: boolean) => {
        if (idle || fed_bytes - reported_bytes >= REPORT_BYTES) report();
      };
      tree = new TreeWriter({ ...options, host: SYSTEM_HOST, signer, onTask });
      report();
      return;
    }
    case "batches":
      for (const { batch, end } of data.batches) {
        fed_bytes += batch.bytes.length;
        tree?.feed(batch, end);
      }
      return;
    case "checkpoint":
      tree?.checkpoint().then(
        (text) => {
          report();
          scope.postMessage({ kind: "signed", id: data.id, text });
        },
        (error) => {
          report();
          scope.postMessage({ kind: "unsigned", id: data.id, reason: reasonOf(error) });
        },
      );
      return;
    case "close":
      tree?.close().then(() => scope.postMessage({ kind: "closed" }));
      return;
  }
};
