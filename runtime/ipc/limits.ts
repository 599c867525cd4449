/**
 * Bounds of the runtime's socket, beyond those of the protocol (`proto/ipc/limits.ts`).
 *
 * @module
 */

/** Bounds that a peer of the runtime's socket can run into. */
export const IPC_ROOM_LIMITS = {
  /**
   * Connections at a time where the configuration names no other number (contract `wire` §3.1).
   * More: closed without a byte. A connection counts until it ends, not until its handshake does.
   */
  connections_max: 64,
  /** Time for the handshake. After it: closed without a byte (contract `wire` §3.4). */
  handshake_ms_max: 5_000,
  /** Body of a frame before the handshake is done. Longer: closed. */
  handshake_body_bytes_max: 16_384,
  /**
   * Queries of one connection that are being decided, or whose answers are not yet written. At it:
   * nothing more is read from that connection until one is (contract `wire` §3.5).
   */
  queries_in_flight_max: 256,
  /** Event reports of one connection that are not yet durable. At it: nothing more is read from it. */
  reports_in_flight_max: 256,
  /** Bytes of messages of one connection in flight. At it: nothing more is read from it. */
  in_flight_bytes_max: 16_777_216,
  /** Bytes of cut frames that all connections together wait with. At it: the one that asks for more is closed. */
  cut_frames_bytes_max: 67_108_864,
  /** Alerts and approval decisions waiting to be written to one connection. At it: the newest is dropped and counted. */
  unsolicited_max: 256,
  /** Bytes put into one write. More is written in several. */
  write_bytes: 65_536,
  /** Time in which a peer must take some bytes of an answer. After it: closed. */
  write_stall_ms_max: 10_000,
  /** Time for the rest of a frame that has begun to arrive. After it: closed. */
  frame_arrival_ms_max: 30_000,
  /** Time for answers in flight once the peer has ended its side. After it: cancelled and closed. */
  half_open_ms_max: 5_000,
  /** Wait after the kernel refused to hand over a connection, for want of descriptors or memory. */
  accept_retry_ms: 50,
  /** How often the times above are looked at. */
  sweep_interval_ms: 250,
  /** Time in which another runtime on the same path must answer to count as live. */
  probe_ms_max: 1_000,
  /** Bytes of the socket's path (`sun_path` less the staging name). Longer: refused at start. */
  path_bytes_max: 100,
  /** Descriptors looked through for a new connection. Beyond it: the connection is refused. */
  descriptors_max: 4_096,
  /** Keys of agents that may be trusted. More: refused at start. */
  trusted_keys_max: 256,
} as const;
