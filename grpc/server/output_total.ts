/**
 * The bound of all frames that wait for the sockets of one server: no single connection passes its
 * own bound, yet many together could take the memory of the process.
 *
 * @module
 */

/** What is looked at of a connection. */
export interface Writing {
  readonly output: { readonly waiting_bytes: number };
  onRefused(refusal: "server_output_bytes"): void;
  terminate(text: string): void;
}

/** Closes the connections that hold most, until the rest is within `bytes_max`. */
export function closeGreediest(connections: Iterable<Writing>, bytes_max: number): void {
  let total = 0;
  for (const { output } of connections) total += output.waiting_bytes;
  if (total <= bytes_max) return;
  const greediest = [...connections].sort((a, b) =>
    b.output.waiting_bytes - a.output.waiting_bytes
  );
  for (const connection of greediest) {
    if (total <= bytes_max) return;
    total -= connection.output.waiting_bytes;
    connection.onRefused("server_output_bytes");
    connection.terminate("too many bytes wait for all peers of this server");
  }
}
