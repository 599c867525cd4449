/**
 * Bounds of the socket protocol.
 *
 * @module
 */

/** Bounds that both ends of the runtime's socket hold. */
export const IPC_LIMITS = {
  /**
   * Bytes of one frame's body (contract `wire` §3.2): exactly this many are taken. More: refused
   * from the length alone, before anything is read or allocated, and the connection is closed.
   */
  frame_body_bytes_max: 8_388_608,
  /** Bytes of the length before a body. More, or a value past 64 bits: the connection is closed. */
  frame_length_bytes_max: 10,
  /** Characters of the reason, rule or change of one refusal, UTF-16 units. The rest is cut off. */
  explanation_part_chars: 1_024,
  /** Bytes of the challenge's nonce; a client that gets another number ends the handshake. */
  nonce_bytes: 32,
  /**
   * Bytes set aside to read into, a sixteenth of it before the first frame. They double as bytes
   * arrive, never as they are announced.
   */
  read_buffer_bytes: 65_536,
} as const;
