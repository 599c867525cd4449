/**
 * The gateway as commands call it: address, TLS, operator token, deadline, and failures in words.
 *
 * @module
 */
import type { DescService } from "@bufbuild/protobuf";
import {
  type CallOptions,
  Channel,
  type ChannelTls,
  type Client,
  Code,
  codeName,
  createClient,
  GrpcError,
  Metadata,
} from "../grpc/mod.ts";
import { admin, policy, replay } from "../proto/mod.ts";
import { DEFAULT_TOKEN_FILE, type GlobalFlags } from "./arguments/parse.ts";
import { CommandError, ExitCode } from "./exit_code.ts";
import { readSmallText } from "./files.ts";
import type { Session } from "./session.ts";

/** Longest wait for the connection alone, milliseconds. */
const CONNECT_TIMEOUT_MAX_MS = 5_000;

/** An open channel and the two services that `aasm` calls. */
export class GatewayConnection {
  readonly admin: Client<typeof admin.AdminService>;
  readonly policy: Client<typeof policy.PolicyService>;
  readonly replay: Client<typeof replay.ReplayService>;
  #operator: Metadata | undefined;

  constructor(private readonly session: Session, private readonly channel: Channel) {
    this.admin = createClient(admin.AdminService, channel);
    this.policy = createClient(policy.PolicyService, channel);
    this.replay = createClient(replay.ReplayService, channel);
  }

  /** The client of one more service of the gateway. */
  client<S extends DescService>(service: S): Client<S> {
    return createClient(service, this.channel);
  }

  /** Options of a call that ends by itself. */
  options(more: CallOptions = {}): CallOptions {
    return {
      timeout_ms: this.session.flags.timeout_seconds * 1_000,
      signal: this.session.signal,
      ...more,
    };
  }

  /**
   * Options of an admin call: with the operator token, which goes to no other service.
   *
   * @throws {CommandError} when the token file cannot be read.
   */
  async operator(more: CallOptions = {}): Promise<CallOptions> {
    this.#operator ??= new Metadata().set("authorization", `Bearer ${await this.#token()}`);
    return this.options({ ...more, metadata: this.#operator });
  }

  /** The same without a deadline: for streams that last. */
  async operatorStream(): Promise<CallOptions> {
    const { timeout_ms: _unbounded, ...options } = await this.operator();
    return options;
  }

  async #token(): Promise<string> {
    const path = this.session.flags.token_file;
    let token: string;
    try {
      token = await readSmallText(path, "operator token");
    } catch (error) {
      if (!(error instanceof CommandError)) throw error;
      throw new CommandError(
        error.message,
        ExitCode.FAILURE,
        `name the file with --token-file; a gateway writes ${DEFAULT_TOKEN_FILE} at its first start`,
      );
    }
    // A header value is printable ASCII; anything else is not a token and is not repeated here.
    if (/^[\x21-\x7e]+$/.test(token)) return token;
    throw new CommandError(
      `cannot use the operator token in \`${path}\`: expected one line of printable characters`,
      ExitCode.FAILURE,
      "name another file with --token-file",
    );
  }
}

/**
 * Opens the gateway, runs `use`, closes it.
 *
 * @throws {CommandError} for every failure of the gateway or on the way to it.
 */
export async function withGateway<T>(
  session: Session,
  use: (gateway: GatewayConnection) => Promise<T>,
): Promise<T> {
  const { flags } = session;
  const tls = await tlsOf(flags);
  const channel = new Channel(targetOf(flags), {
    connect_timeout_ms: Math.min(flags.timeout_seconds * 1_000, CONNECT_TIMEOUT_MAX_MS),
    ...(tls === undefined ? {} : { tls }),
  });
  const connection = new GatewayConnection(session, channel);
  try {
    return await use(connection);
  } catch (error) {
    throw error instanceof GrpcError ? gatewayFailure(error, channel, flags) : error;
  } finally {
    await channel.close();
  }
}

function targetOf({ gateway }: GlobalFlags): string {
  if (gateway.kind === "unix") return `unix:${gateway.path}`;
  const host = gateway.host.includes(":") ? `[${gateway.host}]` : gateway.host;
  return `${host}:${gateway.port}`;
}

async function tlsOf(flags: GlobalFlags): Promise<ChannelTls | undefined> {
  const { tls_ca, tls_cert, tls_key } = flags;
  if (tls_ca === undefined) return undefined;
  const ca = await readSmallText(tls_ca, "certificate authority");
  if (tls_cert === undefined || tls_key === undefined) return { ca };
  const cert = await readSmallText(tls_cert, "client certificate");
  const key = await readSmallText(tls_key, "client key");
  return { ca, cert, key };
}

/** A gRPC failure as a person can use it. */
export function gatewayFailure(
  error: GrpcError,
  channel: Pick<Channel, "state">,
  flags: GlobalFlags,
): CommandError {
  const address = flags.gateway.text;
  const said = error.message === "" ? codeName(error.code) : error.message;
  switch (error.code) {
    case Code.UNAVAILABLE:
      // On a working connection it is the gateway's own answer, e.g. that it cannot record.
      if (channel.state === "ready") {
        return new CommandError(`the gateway at \`${address}\` refused: ${said}`);
      }
      return new CommandError(
        `cannot reach the gateway at \`${address}\`: ${said}`,
        ExitCode.UNREACHABLE,
        "start it with `deno task gateway`, or name another with --gateway",
      );
    case Code.DEADLINE_EXCEEDED:
      return new CommandError(
        `the gateway at \`${address}\` gave no answer within ${flags.timeout_seconds} s`,
        ExitCode.UNREACHABLE,
        "raise --timeout, or look at the gateway's log",
      );
    case Code.UNAUTHENTICATED:
      return new CommandError(
        `the gateway refused the operator token from \`${flags.token_file}\`: ${said}`,
        ExitCode.FAILURE,
        "name the token file of this gateway with --token-file",
      );
    case Code.PERMISSION_DENIED:
      return new CommandError(
        said,
        ExitCode.FAILURE,
        "use the token of an operator with that scope (--token-file)",
      );
    case Code.UNIMPLEMENTED:
      return new CommandError(
        `the gateway at \`${address}\` does not serve this: ${said}`,
        ExitCode.FAILURE,
        "compare versions with `aasm version`",
      );
    case Code.INVALID_ARGUMENT:
      return new CommandError(said, ExitCode.USAGE);
    default:
      return new CommandError(said);
  }
}
