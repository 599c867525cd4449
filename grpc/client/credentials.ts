/**
 * Credentials of single calls: metadata asked for anew before each attempt (gRPC authentication
 * guide; gRFC A54 for the codes they may end with).
 *
 * @module
 */

import { Code, codeName } from "../code.ts";
import { GrpcError } from "../grpc_error.ts";
import { Metadata } from "../metadata.ts";

/** What credentials are asked for. */
export interface CredentialsContext {
  /** `/package.Service/Method` */
  readonly method: string;
  /** `:authority` of the call. */
  readonly authority: string;
  /** `https://authority/package.Service`, without the port 443: the audience of a token. */
  readonly service_url: string;
  /** Aborts when the call ends first. */
  readonly signal: AbortSignal;
}

/**
 * Gives the metadata that proves who calls, for example an `authorization` entry with a token. Asked
 * before every attempt of every call, so it keeps a token that is still good.
 *
 * What it throws ends the attempt with UNAUTHENTICATED, a GrpcError with its own code; codes that
 * only a server may decide on become INTERNAL (gRFC A54). Nothing it gives or throws is logged.
 */
export type CallCredentials = (
  context: CredentialsContext,
) => Metadata | Promise<Metadata>;

/** Codes that would be taken for an answer of the server. */
const SERVER_CODES: ReadonlySet<Code> = new Set([
  Code.OK,
  Code.INVALID_ARGUMENT,
  Code.NOT_FOUND,
  Code.ALREADY_EXISTS,
  Code.FAILED_PRECONDITION,
  Code.ABORTED,
  Code.OUT_OF_RANGE,
  Code.DATA_LOSS,
]);

/** Why credentials are not even asked for. */
export const PLAINTEXT_REFUSAL = "credentials would travel in plain text: use `tls`, or allow it " +
  "with `allow_plaintext_credentials`";

/** What credentials are told of a call. */
export function credentialsContext(
  method: string,
  authority: string,
  signal: AbortSignal,
): CredentialsContext {
  const service = method.slice(0, method.lastIndexOf("/"));
  const service_url = `https://${authority.replace(/:443$/, "")}${service}`;
  return { method, authority, service_url, signal };
}

/** Asks every one of them, in order; never throws or rejects. */
export function askCredentials(
  credentials: readonly CallCredentials[],
  context: CredentialsContext,
): Metadata | GrpcError | Promise<Metadata | GrpcError> {
  try {
    const given = credentials.map((each) => each(context));
    if (!given.some((each) => each instanceof Promise)) return joined(given as Metadata[]);
    return Promise.all(given).then(joined).catch(errorOf);
  } catch (reason) {
    return errorOf(reason);
  }
}

/** @throws TypeError when something else than metadata was given */
function joined(given: readonly unknown[]): Metadata {
  const fields = given.flatMap((each) => {
    if (each instanceof Metadata) return [...each.fields];
    throw new TypeError("credentials gave something that is no Metadata");
  });
  return Metadata.fromFields(fields);
}

function errorOf(reason: unknown): GrpcError {
  if (!(reason instanceof GrpcError)) {
    return new GrpcError("the credentials of the call failed", Code.UNAUTHENTICATED, {
      cause: reason,
    });
  }
  if (!SERVER_CODES.has(reason.code)) return reason;
  const text = `the credentials of the call failed with ${codeName(reason.code)}`;
  return new GrpcError(text, Code.INTERNAL, { cause: reason });
}
