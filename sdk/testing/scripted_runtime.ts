/**
 * A runtime that does what a test tells it to, on a real socket.
 *
 * @module
 */
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { type AuditEvent, AuditEventSchema } from "@agent-assembly/proto/audit";
import {
  ACK_FRAME,
  CLIENT_TAG,
  encodeFrame,
  FrameReader,
  publicIdKey,
  RUNTIME_TAG,
  verifyProof,
} from "@agent-assembly/proto/ipc";
import { HandshakeChallengeSchema, HandshakeProofSchema } from "@agent-assembly/proto/ipc_messages";
import {
  type CheckActionRequest,
  CheckActionRequestSchema,
  type CheckActionResponse,
  CheckActionResponseSchema,
} from "@agent-assembly/proto/policy";

/** One client, as the script sees it. */
export interface ScriptedPeer {
  /** Version that the client signed. */
  readonly signed_version: string;
  /** Writes raw bytes. */
  readonly write: (bytes: Uint8Array) => Promise<void>;
  readonly answer: (response: CheckActionResponse) => Promise<void>;
  readonly acknowledge: () => Promise<void>;
  readonly close: () => void;
}

/** What the runtime does. Anything left out is not done. */
export interface RuntimeScript {
  /** Instead of the handshake. */
  readonly onConnect?: (connection: Deno.Conn) => void | Promise<void>;
  readonly onQuery?: (query: CheckActionRequest, peer: ScriptedPeer) => void | Promise<void>;
  readonly onEvent?: (event: AuditEvent, peer: ScriptedPeer) => void | Promise<void>;
}

/** A listening scripted runtime. */
export class ScriptedRuntime implements AsyncDisposable {
  /** Connections that passed the handshake. */
  connections = 0;
  readonly #listener: Deno.UnixListener;
  readonly #open = new Set<Deno.Conn>();
  readonly #script: RuntimeScript;
  readonly #agent_id: string;
  readonly #running: Promise<void>;

  constructor(readonly path: string, agent_id: string, script: RuntimeScript) {
    this.#listener = Deno.listen({ transport: "unix", path });
    this.#script = script;
    this.#agent_id = agent_id;
    this.#running = this.#run();
  }

  /** As `kill -9` would: every connection is cut, and nothing listens any more. */
  async kill(): Promise<void> {
    try {
      this.#listener.close();
    } catch {
      // Closed before.
    }
    for (const connection of this.#open) close(connection);
    await this.#running;
    await Deno.remove(this.path).catch(() => {});
  }

  /** The same as {@linkcode kill}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
  }

  async #run(): Promise<void> {
    const serving: Promise<void>[] = [];
    for await (const connection of this.#listener) {
      this.#open.add(connection);
      serving.push(
        this.#serve(connection).catch(() => {}).finally(() => {
          this.#open.delete(connection);
          close(connection);
        }),
      );
    }
    await Promise.all(serving);
  }

  async #serve(connection: Deno.Conn): Promise<void> {
    if (this.#script.onConnect !== undefined) return await this.#script.onConnect(connection);
    const nonce = crypto.getRandomValues(new Uint8Array(32));
    const challenge = toBinary(
      HandshakeChallengeSchema,
      create(HandshakeChallengeSchema, { nonce }),
    );
    await writeAll(connection, encodeFrame(RUNTIME_TAG.handshake_challenge, challenge));
    const reader = new FrameReader("client");
    const chunk = new Uint8Array(65_536);
    let peer: ScriptedPeer | undefined;
    for (;;) {
      const read = await connection.read(chunk);
      if (read === null) return;
      reader.push(chunk.subarray(0, read));
      for (let frame = reader.next(); frame !== undefined; frame = reader.next()) {
        if (peer === undefined) {
          const proof = fromBinary(HandshakeProofSchema, frame.body);
          const { public_key } = publicIdKey(this.#agent_id);
          if (frame.tag !== CLIENT_TAG.handshake_proof || !verifyProof(proof, nonce, public_key)) {
            return;
          }
          peer = this.#peer(connection, proof.sdkVersion);
          this.connections++;
        } else if (frame.tag === CLIENT_TAG.policy_query) {
          await this.#script.onQuery?.(fromBinary(CheckActionRequestSchema, frame.body), peer);
        } else if (frame.tag === CLIENT_TAG.event_report) {
          await this.#script.onEvent?.(fromBinary(AuditEventSchema, frame.body), peer);
        }
      }
    }
  }

  #peer(connection: Deno.Conn, signed_version: string): ScriptedPeer {
    const write = (bytes: Uint8Array) => writeAll(connection, bytes);
    return {
      signed_version,
      write,
      answer: (response) =>
        write(
          encodeFrame(RUNTIME_TAG.policy_response, toBinary(CheckActionResponseSchema, response)),
        ),
      acknowledge: () => write(ACK_FRAME),
      close: () => close(connection),
    };
  }
}

async function writeAll(connection: Deno.Conn, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) at += await connection.write(bytes.subarray(at));
}

function close(connection: Deno.Conn): void {
  try {
    connection.close();
  } catch {
    // Closed before.
  }
}
