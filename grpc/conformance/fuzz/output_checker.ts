/**
 * Judges every byte an endpoint under test sends: frames, stream states, windows, header blocks,
 * and the gRPC that is in them. Stricter than a peer has to be, and written apart from the module.
 *
 * @module
 */

import { FrameCutter, type WireFrame } from "./frame_cutter.ts";
import { checkFields, HeaderReader } from "./header_reader.ts";
import { hold } from "./invariant.ts";
import type { PeerSpeech } from "./peer_speech.ts";
import { concat, type Half } from "./session.ts";

/** What the endpoint sent on one stream. */
export interface SentStream {
  readonly id: number;
  head: ReadonlyMap<string, string> | undefined;
  trailers: ReadonlyMap<string, string> | undefined;
  /** DATA, frame by frame. */
  readonly data: Uint8Array[];
  data_bytes: number;
  /** Message bytes still to come before the next prefix may begin. */
  prefix: number[];
  message_rest: number;
  ended: boolean;
  reset: number | undefined;
}

/** Limits the endpoint announced, which it must not pass itself. */
export interface Announced {
  readonly stream_window_bytes: number;
  readonly connection_window_bytes: number;
}

const PREFACE = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const KEPT_DATA_BYTES = 1 << 20;
const PAIRS = Array.from({ length: 256 }, (_, pair) => `${pair >> 4}>${pair & 15}`);

/** One connection's outgoing bytes. */
export class OutputChecker {
  readonly streams = new Map<number, SentStream>();
  /** Kinds of behaviour seen: frame pairs, codes, statuses. */
  readonly features = new Set<string>();
  goaways: number[] = [];
  frames = 0;

  readonly #half: Half;
  readonly #speech: PeerSpeech;
  readonly #announced: Announced;
  readonly #cutter: FrameCutter;
  readonly #headers = new HeaderReader();
  #previous_type = -1;
  #acked = 0;
  #pongs = 0;
  #window_bytes = 65_535;
  #frame_bytes = 16_384;
  #concurrent_streams = Infinity;
  #sent_bytes = 0;
  #granted_bytes = 0;
  readonly #granted_by_stream = new Map<number, number>();
  #block: { stream: number; end: boolean; parts: Uint8Array[] } | undefined;
  #fatal = false;

  constructor(half: Half, speech: PeerSpeech, announced: Announced) {
    this.#half = half;
    this.#speech = speech;
    this.#announced = announced;
    this.#cutter = new FrameCutter(half === "client" ? PREFACE : "");
  }

  /** Window the endpoint still has for the connection. */
  get connection_window(): number {
    return 65_535 + this.#speech.connection_grant - this.#sent_bytes;
  }

  /** Connection window the endpoint has used up and not given back. */
  get owed_bytes(): number {
    const extra = this.#announced.connection_window_bytes - 65_535;
    return this.#speech.flow_bytes - (this.#granted_bytes - extra);
  }

  /** @throws InvariantError */
  push(bytes: Uint8Array): void {
    const sound = this.#cutter.push(bytes, (frame) => this.#onFrame(frame));
    hold(sound, "the client preface is wrong");
  }

  #onFrame(frame: WireFrame): void {
    const { type, flags, stream, payload } = frame;
    hold(!this.#fatal, () => `frame ${type} after an error GOAWAY`);
    hold(this.frames++ > 0 || (type === 4 && flags === 0), "the first frame is not SETTINGS");
    hold(payload.length <= this.#frame_bytes, () => `frame ${type} of ${payload.length} bytes`);
    hold(
      (this.#block !== undefined) === (type === 9),
      () => `frame ${type} ${this.#block === undefined ? "without" : "inside"} a header block`,
    );
    this.features.add(PAIRS[this.#previous_type * 16 + type] ?? "start");
    this.#previous_type = type;
    const view = new DataView(payload.buffer, payload.byteOffset, payload.length);
    switch (type) {
      case 0:
        return this.#onData(stream, flags, payload);
      case 1:
        hold((flags & ~5) === 0, `HEADERS with flags ${flags}`);
        this.#block = { stream, end: (flags & 1) !== 0, parts: [payload.slice()] };
        return this.#onBlockPart(flags);
      case 9:
        hold(this.#block?.stream === stream, "CONTINUATION of another stream");
        this.#block?.parts.push(payload.slice());
        return this.#onBlockPart(flags);
      case 3:
        return this.#onReset(stream, payload.length, view);
      case 4:
        return this.#onSettings(flags, stream, view);
      case 6:
        return this.#onPing(flags, stream, payload);
      case 7:
        return this.#onGoaway(stream, view);
      case 8:
        return this.#onWindowUpdate(stream, payload.length, view);
      default:
        hold(false, `frame type ${type}`);
    }
  }

  #onBlockPart(flags: number): void {
    if ((flags & 4) === 0 || this.#block === undefined) return;
    const { stream, end, parts } = this.#block;
    this.#block = undefined;
    const fields = this.#headers.read(concat(parts));
    checkFields(fields);
    this.#onFields(stream, new Map(fields), end);
  }

  #onFields(id: number, fields: ReadonlyMap<string, string>, end: boolean): void {
    if (this.#half === "client") this.#onRequest(id, fields, end);
    const stream = this.#open(id);
    if (stream.head === undefined) {
      stream.head = fields;
      if (this.#half === "server") this.#checkHead(fields, end);
    } else {
      hold(end, `second HEADERS on stream ${id} without END_STREAM`);
      hold(![...fields.keys()].some((name) => name.startsWith(":")), "pseudo header in trailers");
    }
    if (!end) return;
    stream.ended = true;
    stream.trailers = fields;
    if (this.#half === "server") this.#checkEnd(stream, fields);
  }

  #checkHead(fields: ReadonlyMap<string, string>, end: boolean): void {
    const status = fields.get(":status") ?? "";
    hold(/^[1-5][0-9][0-9]$/.test(status), `:status \`${status}\``);
    hold([...fields.keys()].filter((name) => name.startsWith(":")).length === 1, "pseudo headers");
    const type = fields.get("content-type") ?? "";
    if (status === "200") hold(type === "application/grpc", "content-type of a response");
    else hold(end || type === "text/plain", "an HTTP error with more than a text to come");
  }

  #checkEnd(stream: SentStream, fields: ReadonlyMap<string, string>): void {
    if (stream.head?.get(":status") !== "200") return;
    const status = fields.get("grpc-status") ?? "";
    hold(/^(?:[0-9]|1[0-6])$/.test(status), `grpc-status \`${status}\``);
    hold(
      /^(?:[\x20-\x24\x26-\x7e]|%[0-9A-F]{2})*$/.test(fields.get("grpc-message") ?? ""),
      "grpc-message is not percent-encoded",
    );
    const whole = stream.message_rest === 0 && stream.prefix.length === 0;
    hold(whole || status !== "0", "OK inside a message");
    this.features.add(`status ${status}`);
  }

  #onRequest(id: number, fields: ReadonlyMap<string, string>, end: boolean): void {
    hold(!this.streams.has(id), `HEADERS twice on stream ${id}`);
    hold((id & 1) === 1 && ![...this.streams.keys()].some((open) => open > id), `stream ${id}`);
    hold(!end, "a request without a message");
    hold(fields.get(":method") === "POST" && fields.get("te") === "trailers", "request head");
    hold((fields.get(":path") ?? "").startsWith("/"), ":path");
    hold(/^https?$/.test(fields.get(":scheme") ?? ""), ":scheme");
    hold(/^application\/grpc/.test(fields.get("content-type") ?? ""), "content-type");
    hold(/^([0-9]{1,8}[HMSmun])?$/.test(fields.get("grpc-timeout") ?? ""), "grpc-timeout");
    this.#open(id);
  }

  #open(id: number): SentStream {
    let stream = this.streams.get(id);
    if (stream === undefined) {
      const told = this.#half === "client" || ((id & 1) === 1 && id <= this.#speech.last_stream);
      hold(told, `a frame on idle stream ${id}`);
      stream = {
        id,
        head: undefined,
        trailers: undefined,
        data: [],
        data_bytes: 0,
        prefix: [],
        message_rest: 0,
        ended: false,
        reset: undefined,
      };
      this.streams.set(id, stream);
    }
    hold(!stream.ended, `a frame on stream ${id} after END_STREAM`);
    hold(stream.reset === undefined, `a frame on stream ${id} after RST_STREAM`);
    return stream;
  }

  #onData(id: number, flags: number, payload: Uint8Array): void {
    hold((flags & ~1) === 0, `DATA with flags ${flags}`);
    hold(this.streams.get(id)?.head !== undefined, `DATA on stream ${id} before HEADERS`);
    const stream = this.#open(id);
    this.#sent_bytes += payload.length;
    stream.data_bytes += payload.length;
    const window = this.#window_bytes + (this.#speech.stream_grants.get(id) ?? 0);
    if (payload.length > 0) {
      hold(this.connection_window >= 0, "DATA passes the connection window");
      hold(stream.data_bytes <= window, `DATA passes the window of stream ${id}`);
    } else {
      hold((flags & 1) !== 0, "empty DATA that ends nothing");
    }
    const is_text = stream.head?.get("content-type") === "text/plain";
    if (!is_text) this.#readMessages(stream, payload);
    if ((flags & 1) === 0) return;
    hold(this.#half === "client" || is_text, "a response ends without trailers");
    hold(stream.message_rest === 0 && stream.prefix.length === 0, "END_STREAM inside a message");
    stream.ended = true;
  }

  #readMessages(stream: SentStream, payload: Uint8Array): void {
    if (stream.data_bytes < KEPT_DATA_BYTES) stream.data.push(payload.slice());
    for (let at = 0; at < payload.length;) {
      if (stream.message_rest > 0) {
        const count = Math.min(stream.message_rest, payload.length - at);
        stream.message_rest -= count;
        at += count;
        continue;
      }
      stream.prefix.push(payload[at++] ?? 0);
      if (stream.prefix.length < 5) continue;
      const [flag = 0, a = 0, b = 0, c = 0, d = 0] = stream.prefix;
      hold(flag <= 1, `compressed flag ${flag}`);
      const encoding = stream.head?.get("grpc-encoding") ?? "identity";
      hold(flag === 0 || encoding === "gzip", `a compressed message under encoding ${encoding}`);
      stream.message_rest = a * 2 ** 24 + b * 65_536 + c * 256 + d;
      stream.prefix = [];
    }
  }

  #onReset(id: number, length: number, view: DataView): void {
    hold(length === 4, "RST_STREAM is not four bytes");
    const idle = this.#half === "client"
      ? !this.streams.has(id)
      : (id & 1) === 0 || id > this.#speech.last_stream;
    hold(!idle, `RST_STREAM on idle stream ${id}`);
    const code = view.getUint32(0);
    hold(code <= 13, `RST_STREAM with code ${code}`);
    this.features.add(`reset ${code}`);
    // A peer that goes on talking on a closed stream may be told again.
    if (!this.streams.has(id)) this.#open(id);
    const stream = this.streams.get(id);
    if (stream !== undefined) stream.reset = code;
  }

  #onSettings(flags: number, stream: number, view: DataView): void {
    hold(stream === 0 && (flags & ~1) === 0, "SETTINGS");
    if (flags === 0) {
      hold(this.frames === 1, "SETTINGS changed under way");
      return;
    }
    hold(view.byteLength === 0, "SETTINGS ACK with a payload");
    const settings = this.#speech.settings[this.#acked++];
    hold(settings !== undefined, "SETTINGS ACK for nothing");
    this.#window_bytes = settings.window_bytes ?? this.#window_bytes;
    this.#frame_bytes = settings.frame_bytes ?? this.#frame_bytes;
    this.#concurrent_streams = settings.concurrent_streams ?? this.#concurrent_streams;
    if (settings.table_bytes !== undefined) this.#headers.setLimit(settings.table_bytes);
  }

  #onPing(flags: number, stream: number, payload: Uint8Array): void {
    hold(stream === 0 && payload.length === 8 && (flags & ~1) === 0, "PING");
    if (flags === 0) return;
    const asked = this.#speech.pings[this.#pongs++];
    hold(asked?.every((byte, at) => byte === payload[at]) === true, "PING ACK for nothing");
  }

  #onGoaway(stream: number, view: DataView): void {
    hold(stream === 0 && view.byteLength >= 8, "GOAWAY");
    const last = view.getUint32(0);
    const code = view.getUint32(4);
    hold(code <= 13, `GOAWAY with code ${code}`);
    hold(code !== 2, "GOAWAY INTERNAL_ERROR");
    hold(last <= (this.goaways.at(-1) ?? 2 ** 31 - 1), "a later GOAWAY names a larger stream");
    if (last !== 2 ** 31 - 1) {
      const known = this.#half === "server" ? this.#speech.last_stream : 0;
      hold(last <= known, `GOAWAY names stream ${last}, which was never opened`);
    }
    this.goaways.push(last);
    this.features.add(`goaway ${code}`);
    this.#fatal = code !== 0;
  }

  #onWindowUpdate(id: number, length: number, view: DataView): void {
    const increment = length === 4 ? view.getUint32(0) : 0;
    hold(increment > 0 && increment < 2 ** 31, `WINDOW_UPDATE by ${increment}`);
    if (id === 0) {
      this.#granted_bytes += increment;
      hold(this.owed_bytes >= 0, "the connection window grows past its bound");
      return;
    }
    const stream = this.streams.get(id);
    hold(stream?.reset === undefined, `WINDOW_UPDATE on stream ${id} after RST_STREAM`);
    if (this.#half === "server") hold(stream?.ended !== true, "WINDOW_UPDATE after END_STREAM");
    else hold(stream !== undefined, "WINDOW_UPDATE on an idle stream");
    const granted = (this.#granted_by_stream.get(id) ?? 0) + increment;
    this.#granted_by_stream.set(id, granted);
    const taken = this.#speech.stream_flow_bytes.get(id) ?? 0;
    hold(granted <= taken, `the window of stream ${id} grows past its bound`);
  }

  /** Streams of a client that neither side has ended, by what was sent: an upper bound. */
  get concurrentStreamsMax(): number {
    return this.#concurrent_streams;
  }
}
