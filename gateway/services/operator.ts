/**
 * Operators of the admin surface: who calls, and whether the scope suffices.
 *
 * @module
 */
import { type CallContext, Code, GrpcError } from "../../grpc/mod.ts";
import type { OperatorRecord, OperatorScope } from "../../storage/sqlite/records.ts";
import type { Counters } from "../counters.ts";
import { type Operators, scopeSatisfies } from "../identity/operators.ts";

/**
 * The operator that calls, holding at least `scope`.
 *
 * @throws {GrpcError} `UNAUTHENTICATED` without a known token, `PERMISSION_DENIED` below the scope.
 */
export function requireOperator(
  context: CallContext,
  operators: Operators,
  counters: Counters,
  scope: OperatorScope,
): OperatorRecord {
  const token = /^[Bb]earer (.*)$/s.exec(context.metadata.get("authorization") ?? "")?.[1]?.trim();
  if (token === undefined || token === "") {
    counters.add("operator_auth_rejected.missing");
    throw new GrpcError(
      "operator token is missing: send `authorization: Bearer`, the token is in operator.token of the state directory",
      Code.UNAUTHENTICATED,
    );
  }
  const operator = operators.authenticate(token);
  if (operator === undefined) {
    counters.add("operator_auth_rejected.invalid");
    throw new GrpcError("operator token is invalid", Code.UNAUTHENTICATED);
  }
  if (!scopeSatisfies(operator.scope, scope)) {
    throw new GrpcError(
      `this call needs the ${scope} scope, operator \`${operator.name}\` has ${operator.scope}`,
      Code.PERMISSION_DENIED,
    );
  }
  return operator;
}
