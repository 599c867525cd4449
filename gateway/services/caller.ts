/**
 * Who calls: credentials in metadata (contract `wire` §1.1). Identity always comes from the
 * registry, never from the request.
 *
 * @module
 */
import { type CallContext, Code, GrpcError, type Metadata } from "../../grpc/mod.ts";
import type { Counters } from "../counters.ts";
import type { AgentRecord } from "../../storage/sqlite/records.ts";
import type { Registry } from "../registry/registry.ts";

/** The token of a call: `x-aa-credential-token`, else `authorization: Bearer …`; empty when none. */
export function presentedToken(metadata: Metadata): string {
  const direct = metadata.get("x-aa-credential-token")?.trim() ?? "";
  if (direct !== "") return direct;
  return /^[Bb]earer (.*)$/s.exec(metadata.get("authorization") ?? "")?.[1]?.trim() ?? "";
}

/**
 * The registered agent that calls.
 *
 * @throws {GrpcError} `UNAUTHENTICATED` when the token is missing or unknown.
 */
export function requireAgent(
  context: CallContext,
  registry: Registry,
  counters: Counters,
): AgentRecord {
  const token = presentedToken(context.metadata);
  if (token === "") {
    counters.add("grpc_auth_rejected.missing");
    throw new GrpcError(
      "credential token is missing: send `x-aa-credential-token` or `authorization: Bearer`",
      Code.UNAUTHENTICATED,
    );
  }
  const record = registry.byToken(token);
  if (record === undefined) {
    counters.add("grpc_auth_rejected.invalid");
    throw new GrpcError("credential token is invalid: register again", Code.UNAUTHENTICATED);
  }
  return record;
}
