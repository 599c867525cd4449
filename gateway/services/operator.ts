/**
 * Operators of the admin surface: who calls, and whether they may.
 *
 * @module
 */
import { permits, type Target } from "../../core/iam/permits.ts";
import type { Permission } from "../../core/iam/table.ts";
import { type CallContext, Code, GrpcError } from "../../grpc/mod.ts";
import type { Counters } from "../counters.ts";
import type { AuthenticatedOperator, Operators } from "../identity/operators.ts";

/**
 * The operator that calls, having a permission: for `target`, or without one for anything at all.
 *
 * For what belongs to a tenant ask twice: first without a target, before looking it up, so that a
 * refusal reveals nothing of what exists (contract `policy-and-gateway` §11.2); then
 * {@linkcode assertPermitted} with whose it is.
 *
 * @throws {GrpcError} `UNAUTHENTICATED` without a known token, `PERMISSION_DENIED` with the reason.
 */
export function requirePermission(
  context: CallContext,
  operators: Operators,
  counters: Counters,
  permission: Permission,
  target?: Target,
): AuthenticatedOperator {
  const operator = identified(context, operators, counters);
  assertPermitted(operator, counters, permission, target);
  return operator;
}

/**
 * Goes on only if the operator has the permission for the target.
 *
 * @throws {GrpcError} `PERMISSION_DENIED` with the role or tenant reason.
 */
export function assertPermitted(
  operator: AuthenticatedOperator,
  counters: Counters,
  permission: Permission,
  target?: Target,
): void {
  const answer = permits(operator, permission, target);
  if (answer.ok) return;
  counters.add(`operator_refused.${answer.because}`);
  throw new GrpcError(`operator \`${operator.name}\`: ${answer.message}`, Code.PERMISSION_DENIED);
}

/**
 * The operator that calls, whatever it may do.
 *
 * @throws {GrpcError} `UNAUTHENTICATED` without a known token.
 */
export function identified(
  context: CallContext,
  operators: Operators,
  counters: Counters,
): AuthenticatedOperator {
  const token = /^[Bb]earer (.*)$/s.exec(context.metadata.get("authorization") ?? "")?.[1]?.trim();
  if (token === undefined || token === "") {
    counters.add("operator_auth_rejected.missing");
    throw new GrpcError(
      "operator token is missing: send `authorization: Bearer`, the token is in operator.token of the state directory",
      Code.UNAUTHENTICATED,
    );
  }
  const found = operators.identify(token);
  if (found.outcome === "known") return found.operator;
  counters.add(
    `operator_auth_rejected.${found.outcome === "unknown" ? "invalid" : found.outcome}`,
  );
  const why = { unknown: "is invalid", revoked: "is revoked", expired: "has expired" };
  throw new GrpcError(`operator token ${why[found.outcome]}`, Code.UNAUTHENTICATED);
}
