/**
 * Every bound of this module in one place, with what happens at it. Defaults suit a service that
 * answers small requests to many peers; a server or channel may override each by name.
 *
 * @module
 */

/** Bounds a peer can run into. Bytes, milliseconds and counts by the last word of each name. */
export interface Bounds {
  /**
   * One received message, as it travels and decompressed. At it: the call ends with
   * RESOURCE_EXHAUSTED, unread.
   */
  readonly receive_message_bytes: number;
  /** One sent message, before it is compressed. At it: the call ends with RESOURCE_EXHAUSTED. */
  readonly send_message_bytes: number;
  /** One sent message where compression is on. Below it: sent as it is. */
  readonly compression_min_bytes: number;
  /**
   * Times a received message may grow by being decompressed before the rest counts against
   * {@linkcode decompression_burst_bytes}.
   */
  readonly decompression_ratio: number;
  /**
   * Decompressed bytes of one connection that {@linkcode decompression_ratio} does not explain,
   * beyond the sustained rate of {@linkcode decompression_bytes_per_second}. A message that cannot
   * be decompressed counts what it could have become, 64 KiB at least. At it: the call ends with
   * RESOURCE_EXHAUSTED and the connection with GOAWAY ENHANCE_YOUR_CALM. Web calls, whose
   * connections are not ours, share one such account over the server: at it they end with
   * RESOURCE_EXHAUSTED until time has made up for it.
   */
  readonly decompression_burst_bytes: number;
  /** Sustained bytes a second of the same. */
  readonly decompression_bytes_per_second: number;
  /**
   * One received header list, decoded, 32 bytes overhead a field (SETTINGS_MAX_HEADER_LIST_SIZE).
   * At it: the call ends with RESOURCE_EXHAUSTED; the connection lives. A status we send stays
   * within it and within the peer's own limit: its details go first, then metadata, then text.
   */
  readonly header_list_bytes: number;
  /** One received header block as it travels. At it: GOAWAY ENHANCE_YOUR_CALM. */
  readonly header_block_bytes: number;
  /** CONTINUATION frames of one header block. At it: GOAWAY ENHANCE_YOUR_CALM. */
  readonly continuation_frames: number;
  /**
   * The peer's dynamic HPACK table (SETTINGS_HEADER_TABLE_SIZE). Past it: COMPRESSION_ERROR. A
   * peer that has not acknowledged our SETTINGS has the 4096 bytes of RFC 9113.
   */
  readonly header_table_bytes: number;
  /** Payload of one received frame (SETTINGS_MAX_FRAME_SIZE). Past it: FRAME_SIZE_ERROR. */
  readonly frame_bytes: number;
  /**
   * Streams open on one connection, with those whose handler still runs after a reset. At it: new
   * streams are reset with REFUSED_STREAM.
   */
  readonly concurrent_streams: number;
  /** Connections open on one server. At it: new ones are closed unread. */
  readonly connections: number;
  /**
   * Connections of one server from one address (IPv6: one /64), not counted on Unix sockets. At it:
   * new ones are closed unread.
   */
  readonly connections_per_address: number;
  /**
   * Calls of one server that are open, or whose handler still runs after its stream or connection
   * is gone. At it: new calls are answered UNAVAILABLE.
   */
  readonly server_calls: number;
  /** The same of one address, so that it cannot take all of them. At it: as above. */
  readonly calls_per_address: number;
  /**
   * Streams ended by a reset (sent by the peer, or caused by its errors) beyond the sustained rate
   * of {@linkcode resets_per_second}. At it: GOAWAY ENHANCE_YOUR_CALM.
   */
  readonly reset_burst: number;
  /** Sustained resets a second on one connection. */
  readonly resets_per_second: number;
  /**
   * SETTINGS, PING, PRIORITY, empty DATA and unknown frames beyond the sustained rate of
   * {@linkcode control_frames_per_second}. At it: GOAWAY ENHANCE_YOUR_CALM.
   */
  readonly control_frame_burst: number;
  /** Sustained control frames a second on one connection. */
  readonly control_frames_per_second: number;
  /**
   * WINDOW_UPDATE frames beyond those our own DATA earned (two a frame) and the sustained rate of
   * {@linkcode window_updates_per_second}. At it: GOAWAY ENHANCE_YOUR_CALM.
   */
  readonly window_update_burst: number;
  /** Sustained WINDOW_UPDATE frames a second that no DATA of ours explains. */
  readonly window_updates_per_second: number;
  /** Flow-control window of one stream. Data past it: FLOW_CONTROL_ERROR on the stream. */
  readonly stream_window_bytes: number;
  /** Flow-control window of a connection. Data past it: FLOW_CONTROL_ERROR, GOAWAY. */
  readonly connection_window_bytes: number;
  /**
   * Received bytes waiting in one connection's unfinished or unread messages, with decompressed
   * messages whose handler runs. At it: the call that needs more ends with RESOURCE_EXHAUSTED.
   */
  readonly connection_buffer_bytes: number;
  /** The same over all connections of one server. At it: as above. */
  readonly server_buffer_bytes: number;
  /**
   * Response messages of one connection waiting for the peer's windows. At it: the call that adds
   * one more ends with RESOURCE_EXHAUSTED.
   */
  readonly connection_pending_bytes: number;
  /** The same over all connections of one server. At it: as above. */
  readonly server_pending_bytes: number;
  /**
   * Frames waiting for the sockets of all connections of one server. Past it: the connections that
   * hold most of them are closed until the rest is within it.
   */
  readonly server_output_bytes: number;
  /**
   * Encoded frames waiting for the socket. At it: message bytes wait in their stream and the
   * handler or caller waits with them.
   */
  readonly output_high_water_bytes: number;
  /** Frames waiting for the socket, replies to the peer included. At it: reading stops. */
  readonly output_bytes: number;
  /** Text of `grpc-message`, before percent-encoding. At it: the text is cut. */
  readonly status_message_bytes: number;
  /**
   * Web requests (gRPC-Web, Connect) under way at once on one server, from their headers to the
   * last byte of their response and the end of their handler. At it: UNAVAILABLE, unread.
   */
  readonly web_calls: number;
  /**
   * Bytes of web responses waiting for their readers, over one server. At it: the call that adds
   * more ends with RESOURCE_EXHAUSTED.
   */
  readonly web_pending_bytes: number;
  /** From accept to the end of TLS, preface and SETTINGS. At it: the connection is closed. */
  readonly handshake_timeout_ms: number;
  /** From our SETTINGS to their acknowledgement. At it: GOAWAY SETTINGS_TIMEOUT, closed. */
  readonly settings_timeout_ms: number;
  /** A frame or header block begun and not finished. At it: GOAWAY, closed. */
  readonly frame_timeout_ms: number;
  /**
   * What a peer must take of what waits for it, within each of the two timeouts below, unless it
   * takes all: a peer that takes a byte now and then is not reading.
   */
  readonly stall_bytes: number;
  /** A write whose socket takes less than {@linkcode stall_bytes}. At it: closed. */
  readonly write_timeout_ms: number;
  /**
   * A message whose window opens by less than {@linkcode stall_bytes}. At it: the stream is reset
   * with CANCEL.
   */
  readonly window_stall_timeout_ms: number;
  /** A request message begun, or the only one awaited, and not there. At it: DEADLINE_EXCEEDED. */
  readonly request_timeout_ms: number;
  /**
   * Data of a request that was answered already because its head was refused. Past it: the stream is
   * reset with NO_ERROR.
   */
  readonly refused_body_bytes: number;
  /** The same by time: a refused request that does not end. At it: reset with NO_ERROR. */
  readonly refused_request_timeout_ms: number;
  /** A connection without a stream. At it: GOAWAY NO_ERROR, closed. */
  readonly idle_timeout_ms: number;
  /**
   * A streaming web call neither side of which sends a byte: there is no PING to ask whether the
   * peer is there. At it: the call ends with UNAVAILABLE.
   */
  readonly web_idle_timeout_ms: number;
  /** Silence on a connection after which a PING asks whether the peer is there; 0 never asks. */
  readonly keepalive_interval_ms: number;
  /** An unanswered keepalive PING. At it: the connection is closed. */
  readonly keepalive_timeout_ms: number;
  /**
   * Age of a connection, more or less a tenth by chance so that many do not end together. At it:
   * GOAWAY NO_ERROR as in a shutdown; the peer connects anew (gRFC A9).
   */
  readonly max_connection_age_ms: number;
  /** What open calls are given after that. At it: they end with UNAVAILABLE, closed. */
  readonly max_connection_age_grace_ms: number;
  /**
   * Between two PING of a peer that has a call open (gRFC A8). A sooner one is a strike, unless we
   * sent HEADERS or DATA since the last. Clients are not held to it by clients.
   */
  readonly min_ping_interval_ms: number;
  /** The same without an open call; equal to the other permits keepalive without calls. */
  readonly min_ping_interval_without_calls_ms: number;
  /** Strikes a connection may have. Past it: GOAWAY ENHANCE_YOUR_CALM `too_many_pings`. */
  readonly ping_strikes: number;
  /** Between our last frame and the peer's close. At it: the socket is closed. */
  readonly linger_timeout_ms: number;
  /** How often the timeouts above are looked at: they fire at most this much late. */
  readonly sweep_interval_ms: number;
}

/** Defaults of a server. */
export const SERVER_BOUNDS: Bounds = {
  receive_message_bytes: 4 * 1024 * 1024,
  send_message_bytes: 4 * 1024 * 1024,
  compression_min_bytes: 1024,
  decompression_ratio: 20,
  decompression_burst_bytes: 32 * 1024 * 1024,
  decompression_bytes_per_second: 16 * 1024 * 1024,
  header_list_bytes: 16 * 1024,
  header_block_bytes: 32 * 1024,
  continuation_frames: 16,
  header_table_bytes: 4096,
  frame_bytes: 16_384,
  concurrent_streams: 256,
  connections: 1024,
  connections_per_address: 512,
  server_calls: 32_768,
  calls_per_address: 8192,
  reset_burst: 500,
  resets_per_second: 100,
  control_frame_burst: 1000,
  control_frames_per_second: 200,
  window_update_burst: 10_000,
  window_updates_per_second: 1000,
  stream_window_bytes: 256 * 1024,
  connection_window_bytes: 4 * 1024 * 1024,
  connection_buffer_bytes: 32 * 1024 * 1024,
  server_buffer_bytes: 256 * 1024 * 1024,
  connection_pending_bytes: 32 * 1024 * 1024,
  server_pending_bytes: 256 * 1024 * 1024,
  server_output_bytes: 256 * 1024 * 1024,
  stall_bytes: 4096,
  output_high_water_bytes: 256 * 1024,
  output_bytes: 1024 * 1024,
  status_message_bytes: 2048,
  web_calls: 1024,
  web_pending_bytes: 256 * 1024 * 1024,
  handshake_timeout_ms: 10_000,
  settings_timeout_ms: 10_000,
  frame_timeout_ms: 10_000,
  write_timeout_ms: 20_000,
  window_stall_timeout_ms: 120_000,
  request_timeout_ms: 60_000,
  refused_body_bytes: 16_384,
  refused_request_timeout_ms: 5000,
  idle_timeout_ms: 10 * 60_000,
  web_idle_timeout_ms: 10 * 60_000,
  keepalive_interval_ms: 60_000,
  keepalive_timeout_ms: 20_000,
  max_connection_age_ms: Number.POSITIVE_INFINITY,
  max_connection_age_grace_ms: Number.POSITIVE_INFINITY,
  min_ping_interval_ms: 5 * 60_000,
  min_ping_interval_without_calls_ms: 2 * 60 * 60_000,
  ping_strikes: 2,
  linger_timeout_ms: 1000,
  sweep_interval_ms: 250,
};

/**
 * Defaults of a client: as a server's, but idle connections stay, nothing asks for a PING, and a
 * server it chose may answer with more.
 */
export const CLIENT_BOUNDS: Bounds = {
  ...SERVER_BOUNDS,
  reset_burst: 10_000,
  resets_per_second: 1000,
  decompression_burst_bytes: 256 * 1024 * 1024,
  decompression_bytes_per_second: 256 * 1024 * 1024,
  stream_window_bytes: 1024 * 1024,
  idle_timeout_ms: Number.POSITIVE_INFINITY,
  keepalive_interval_ms: 0,
};

/**
 * Calls one channel holds while they have no stream: no connection is ready, no stream is free,
 * credentials are awaited, or the next attempt is not due. Past it: UNAVAILABLE.
 */
export const CHANNEL_WAITING_CALLS_MAX = 10_000;

/**
 * Addresses one channel connects to. A target that lists more is refused; of what a resolver
 * finds, the rest is left out.
 */
export const CHANNEL_ADDRESSES_MAX = 256;

/** Times one call is sent anew after the server promised not to have begun it. */
export const CALL_RESENDS_MAX = 2;

/** Attempts of one call under a retry policy; a policy that asks for more gets these. */
export const CALL_ATTEMPTS_MAX = 5;

/**
 * Requests of one streamed call kept until the server answers, in case the call must be sent anew.
 * Past it: what was kept is dropped, and the call has only the attempt it is in.
 */
export const CALL_RETRY_BUFFER_BYTES = 256 * 1024;

/**
 * Messages that cannot be decompressed in one turn of the event loop, over the whole process: each
 * holds some 60 KiB until the turn ends. Past it: calls whose message is compressed end with
 * RESOURCE_EXHAUSTED until then.
 */
export const DECOMPRESSION_FAILURES_A_TURN_MAX = 256;

/** Why something of a peer was refused; the keys of `ServerStats.refused`. */
export type Refusal =
  | "connections"
  | "connections_per_address"
  | "server_calls"
  | "calls_per_address"
  | "server_output_bytes"
  | "concurrent_streams"
  | "continuation_frames"
  | "control_frames"
  | "window_updates"
  | "resets"
  | "header_block_bytes"
  | "header_list_bytes"
  | "hpack"
  | "frame_bytes"
  | "flow_control"
  | "protocol"
  | "closed_stream"
  | "malformed_request"
  | "message_bytes"
  | "decompression"
  | "buffer_bytes"
  | "pending_bytes"
  | "message_framing"
  | "compression"
  | "content_type"
  | "http_method"
  | "unknown_method"
  | "handshake_timeout"
  | "settings_timeout"
  | "frame_timeout"
  | "write_timeout"
  | "window_stall_timeout"
  | "request_timeout"
  | "idle_timeout"
  | "keepalive_timeout"
  | "connection_age"
  | "connection_age_grace"
  | "pings"
  | "tls_handshake"
  | "deadline"
  | "interceptor"
  | "web_calls"
  | "web_idle_timeout"
  | "web_host"
  | "web_origin";

/**
 * The defaults with the given overrides.
 *
 * @throws RangeError when a bound is negative, no number, or outside what HTTP/2 allows
 */
export function withBounds(defaults: Bounds, overrides: Partial<Bounds> | undefined): Bounds {
  const bounds = { ...defaults, ...overrides };
  for (const [name, value] of Object.entries(bounds)) {
    if (typeof value !== "number" || Number.isNaN(value) || value < 0) {
      throw new RangeError(`bound \`${name}\` is \`${value}\`: expected a number of at least 0`);
    }
  }
  if (bounds.frame_bytes < 16_384 || bounds.frame_bytes > 65_536) {
    throw new RangeError(
      `bound \`frame_bytes\` is \`${bounds.frame_bytes}\`: expected 16384 to 65536 (RFC 9113 4.2)`,
    );
  }
  if (bounds.connection_window_bytes < 65_535 || bounds.connection_window_bytes >= 2 ** 31) {
    throw new RangeError(
      `bound \`connection_window_bytes\` is \`${bounds.connection_window_bytes}\`: ` +
        "expected 65535 to 2147483647 (RFC 9113 6.9.2)",
    );
  }
  if (bounds.stream_window_bytes < 1 || bounds.stream_window_bytes >= 2 ** 31) {
    throw new RangeError(
      `bound \`stream_window_bytes\` is \`${bounds.stream_window_bytes}\`: ` +
        "expected 1 to 2147483647 (RFC 9113 6.9.2)",
    );
  }
  return bounds;
}
