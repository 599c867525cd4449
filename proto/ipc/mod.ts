/**
 * The runtime's socket protocol, shared by both of its ends: frames, tags and the mathematics of
 * the handshake (contract `wire` §3). Pure: no socket, no clock, no randomness.
 *
 * @module
 */
export type { HandshakeProof } from "../gen/assembly/ipc/v1/ipc_pb.ts";
export { IPC_LIMITS } from "./limits.ts";
export { CLIENT_TAG, hasBody, RUNTIME_TAG, type Sender } from "./tags.ts";
export {
  ACK_FRAME,
  encodeFrame,
  frameBody,
  frameBytes,
  HEARTBEAT_FRAME,
  putFrame,
} from "./framing.ts";
export { type ClientWords, readClientWords, withClientWords } from "./client_words.ts";
export { type ExplainedReason, explainedReason, readExplainedReason } from "./explained_reason.ts";
export { BodyReader, type Frame, FrameError, FrameReader } from "./frame_reader.ts";
export {
  type HandshakeKey,
  HandshakeKeys,
  publicIdKey,
  seededKey,
  signProof,
  verifyProof,
} from "./handshake.ts";
