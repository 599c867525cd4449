/**
 * What a connection knows of one stream; a server's and a client's calls extend it.
 *
 * @module
 */

/** Who ended a stream before its time. */
export type AbortOrigin =
  /** The peer reset the stream. */
  | "peer"
  /** The peer broke the protocol on this stream and we reset it. */
  | "violation"
  /** The peer left the window closed too long and we reset it. */
  | "stalled"
  /** The connection is gone. */
  | "connection";

/** State of one stream on its connection. */
export abstract class Http2Stream {
  /** Assigned by the connection that opens it. */
  id = 0;
  /** We sent END_STREAM. */
  local_ended = false;
  /** The peer sent END_STREAM. */
  remote_ended = false;
  /** No longer in the connection's table; nothing may be sent on it. */
  closed = false;

  /** Bytes the peer still lets us send. Negative after a SETTINGS change (RFC 9113 6.9.2). */
  send_window: number;
  /** Bytes we still let the peer send. */
  receive_window: number;
  /** Bytes used by us and not yet given back to the peer. */
  receive_unacknowledged = 0;

  /** A message that waits for window or socket. At most one: writers wait for it. */
  pending: Uint8Array | undefined;
  /** How much of it has left; negative while some of its prefix has not. */
  pending_offset = 0;
  /** The prefix of the pending message says that it is compressed. */
  pending_compressed = false;
  /** What follows {@linkcode pending}: nothing yet, END_STREAM on its last frame, or trailers. */
  after_pending: "nothing" | "end_stream" | Uint8Array = "nothing";
  /** Bytes sent so far; a watcher sees a stall by its standing still. */
  sent_bytes = 0;
  /** Messages that had to wait and have left. */
  waits_ended = 0;

  constructor(send_window: number, receive_window: number) {
    this.send_window = send_window;
    this.receive_window = receive_window;
  }

  /** Data of the peer, already counted against the windows; the range is valid during the call. */
  abstract onData(bytes: Uint8Array, start: number, end: number, end_stream: boolean): void;
  /** The pending message has left for the socket. */
  abstract onSent(): void;
  /** The stream ended before its time; called once, after it left the connection's table. */
  abstract onAborted(origin: AbortOrigin, code: number, text: string): void;
}
