/**
 * `assembly.admin.v1.IamService`: operators, their keys and roles. Not part of the reference.
 *
 * @module
 */
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { mayGrant, permits } from "../../core/iam/permits.ts";
import { type OperatorRole, parseRole, ranksAtLeast, ROLES, scopeOf } from "../../core/iam/role.ts";
import {
  DOCUMENT_ROLE,
  KEY_SCOPES,
  type KeyScope,
  PERMISSION_NAMES,
  PERMISSIONS,
} from "../../core/iam/table.ts";
import { Code, GrpcError, type ServiceHandlers } from "../../grpc/mod.ts";
import {
  type ApiKeySchema,
  CreateKeyResponseSchema,
  CreateOperatorResponseSchema,
  type IamService,
  ListKeysResponseSchema,
  ListOperatorsResponseSchema,
  ListRolesResponseSchema,
  type OperatorSchema,
  type PermissionSchema,
  RevokeKeyResponseSchema,
  RevokeOperatorResponseSchema,
  RotateKeyResponseSchema,
  RotateOperatorTokenResponseSchema,
  WhoAmIResponseSchema,
} from "../../proto/gen/assembly/admin/v1/iam_pb.ts";
import type { OperatorRecord } from "../../storage/sqlite/records.ts";
import type { AuditLog } from "../audit/log.ts";
import type { Clock } from "../clock.ts";
import type { Counters } from "../counters.ts";
import { governanceEntry, type GovernanceFacts } from "../engine/governance.ts";
import type { ApiKey } from "../iam/api_key.ts";
import { ApiKeyError, type ApiKeys } from "../iam/api_keys.ts";
import { IAM_LIMITS } from "../iam/limits.ts";
import {
  type AuthenticatedOperator,
  type NewOperator,
  OperatorError,
  type Operators,
} from "../identity/operators.ts";
import { invalid, operatorFailure } from "./admin.ts";
import { assertPermitted, identified, requirePermission } from "./operator.ts";

/** What the service shows and changes. */
export interface IamDependencies {
  readonly operators: Operators;
  readonly keys: ApiKeys;
  readonly audit: Pick<AuditLog, "append">;
  readonly counters: Counters;
  readonly clock: Clock;
}

/** Handlers; every one needs a known credential, and every change is on record before it is made. */
export function iamHandlers(on: IamDependencies): ServiceHandlers<typeof IamService> {
  return { ...identityHandlers(on), ...operatorHandlers(on), ...keyHandlers(on) };
}

function identityHandlers(
  on: IamDependencies,
): Pick<ServiceHandlers<typeof IamService>, "whoAmI" | "listRoles"> {
  return {
    whoAmI: (_request, context) => {
      const operator = identified(context, on.operators, on.counters);
      const record = on.operators.get(operator.name);
      return create(WhoAmIResponseSchema, {
        // What is presented, not what its owner has: a key can be bound more narrowly.
        operator: {
          ...(record === undefined ? {} : operatorMessage(on, record)),
          name: operator.name,
          role: operator.role,
          orgId: operator.org_id ?? "",
          teamId: operator.team_id ?? "",
        },
        scope: operator.scope,
        keyId: operator.key_id ?? "",
        keyScopes: [...operator.key_scopes ?? []],
        permissions: PERMISSION_NAMES.filter((name) => permits(operator, name).ok)
          .map((name) => ({ name, reach: PERMISSIONS[name][operator.role] })),
      });
    },
    listRoles: (_request, context) => {
      requirePermission(context, on.operators, on.counters, "status.read");
      return create(ListRolesResponseSchema, {
        roles: ROLES.map((role) => ({
          name: role,
          scope: scopeOf(role),
          permissions: permissionsOf(role),
          documentScopes: PERMISSIONS["policy.mutate"][role] === "none"
            ? []
            : Object.entries(DOCUMENT_ROLE).filter(([, needed]) => ranksAtLeast(role, needed))
              .map(([tier]) => tier),
        })),
      });
    },
  };
}

function operatorHandlers(
  on: IamDependencies,
): Pick<
  ServiceHandlers<typeof IamService>,
  "listOperators" | "createOperator" | "revokeOperator" | "rotateOperatorToken"
> {
  const { operators, clock } = on;
  return {
    listOperators: (_request, context) => {
      const actor = requirePermission(context, operators, on.counters, "iam.read");
      return create(ListOperatorsResponseSchema, {
        operators: operators.list().filter((record) => sees(actor, record))
          .map((record) => operatorMessage(on, record)),
      });
    },
    createOperator: async (request, context) => {
      const actor = requirePermission(context, operators, on.counters, "iam.manage");
      const wanted: NewOperator = {
        name: request.name,
        role: roleNamed(request.role),
        ...tenantOf(request, actor),
        ...endOf(request.ttlSeconds, clock.now_ms()),
        created_by: `operator:${actor.name}`,
      };
      refuseBeyond(actor, wanted);
      return await translated(async () => {
        operators.check(wanted);
        const { name, role, org_id, team_id, expires_at_ms } = wanted;
        const auditIndex = await record(on, actor, "operator_created", {
          after: { name, role, org_id, team_id, expires_at_ms },
        });
        const token = await operators.create(wanted);
        const made = operators.get(name);
        return create(CreateOperatorResponseSchema, {
          token,
          auditIndex,
          ...(made === undefined ? {} : { operator: operatorMessage(on, made) }),
        });
      });
    },
    revokeOperator: async ({ name }, context) => {
      const actor = requirePermission(context, operators, on.counters, "iam.manage");
      return await translated(async () => {
        const known = operators.get(name);
        // Who is out of reach is not told apart from who does not exist.
        if (known !== undefined && !mayGrant(actor, known)) throw unknownOperator(name);
        const { role, org_id, team_id } = operators.checkRevoke(name);
        const auditIndex = await record(on, actor, "operator_revoked", {
          before: { name, role, org_id, team_id },
        });
        await operators.revoke(name);
        const revoked = operators.get(name);
        return create(RevokeOperatorResponseSchema, {
          auditIndex,
          ...(revoked === undefined ? {} : { operator: operatorMessage(on, revoked) }),
        });
      });
    },
    rotateOperatorToken: async (_request, context) => {
      const actor = identified(context, operators, on.counters);
      if (actor.key_id !== undefined) {
        throw new GrpcError(
          "an operator's token is rotated by presenting it, not by an API key: use the token",
          Code.PERMISSION_DENIED,
        );
      }
      return await translated(async () => {
        const auditIndex = await record(on, actor, "operator_token_rotated", {});
        const token = await operators.rotate(actor.name);
        return create(RotateOperatorTokenResponseSchema, { token, auditIndex });
      });
    },
  };
}

function keyHandlers(
  on: IamDependencies,
): Pick<
  ServiceHandlers<typeof IamService>,
  "listKeys" | "createKey" | "rotateKey" | "revokeKey"
> {
  const { operators, keys } = on;
  return {
    listKeys: ({ includeEnded }, context) => {
      const actor = identified(context, operators, on.counters);
      const all = permits(actor, "iam.read").ok;
      const listed = all
        ? keys.list(actor)
        : keys.list({ role: "owner" }).filter((key) => key.operator === actor.name);
      const shown = listed.filter((key) => includeEnded || keys.statusOf(key) === "active");
      const damaged = all && permits(actor, "iam.read", { kind: "gateway" }).ok
        ? [...keys.damaged].map(([id, problem]) => ({ id, status: "damaged", problem }))
        : [];
      return create(ListKeysResponseSchema, {
        keys: [...damaged, ...shown.map((key) => keyMessage(on, key))],
      });
    },
    createKey: async (request, context) => {
      const actor = requirePermission(context, operators, on.counters, "key.own");
      const ttl_seconds = request.ttlSeconds === 0n
        ? IAM_LIMITS.ttl_default_seconds
        : Number(request.ttlSeconds);
      return await translated(async () => {
        const prepared = keys.prepareCreate(actor, {
          label: request.label,
          role: request.role === "" ? actor.role : roleNamed(request.role),
          ...tenantOf(request, actor),
          key_scopes: request.scopes.map(keyScopeNamed),
          ttl_seconds,
        });
        const auditIndex = await record(on, actor, "api_key_created", {
          after: keyFacts(prepared.key),
        });
        const { key, secret } = await prepared.apply();
        return create(CreateKeyResponseSchema, { key: keyMessage(on, key), secret, auditIndex });
      });
    },
    rotateKey: async ({ id, overlapSeconds }, context) => {
      const actor = identified(context, operators, on.counters);
      // A key may replace its own secret: it has no more afterwards than before.
      const { key_scopes: _narrowing, ...owner } = actor;
      assertPermitted(actor.key_id === id ? owner : actor, on.counters, "key.own");
      return await translated(async () => {
        const prepared = keys.prepareRotate(actor, id, Number(overlapSeconds));
        const auditIndex = await record(on, actor, "api_key_rotated", {
          after: keyFacts(prepared.key),
          overlap_seconds: Number(overlapSeconds),
        });
        const { key, secret } = await prepared.apply();
        return create(RotateKeyResponseSchema, { key: keyMessage(on, key), secret, auditIndex });
      });
    },
    revokeKey: async ({ id }, context) => {
      const actor = identified(context, operators, on.counters);
      const manages = permits(actor, "iam.manage").ok;
      // Removing a record that nobody can read reaches every tenant: it could be anybody's.
      const repairs = permits(actor, "iam.manage", { kind: "gateway" }).ok;
      return await translated(async () => {
        const before = keys.checkRevoke(actor, id, { manages, repairs });
        const auditIndex = await record(on, actor, "api_key_revoked", {
          before: before === undefined ? { id, damaged: true } : keyFacts(before),
        });
        await keys.revoke(id);
        const after = keys.get(id);
        return create(RevokeKeyResponseSchema, {
          auditIndex,
          ...(after === undefined ? {} : { key: keyMessage(on, after) }),
        });
      });
    },
  };
}

/** Puts a change on record; resolves with its place in the log once that is durable. */
async function record(
  on: IamDependencies,
  actor: AuthenticatedOperator,
  action: string,
  facts: GovernanceFacts,
): Promise<bigint> {
  const { seq } = await on.audit.append(governanceEntry(action, {
    ...facts,
    actor: `operator:${actor.name}`,
    ...(actor.key_id === undefined ? {} : { key_id: actor.key_id }),
  }, on.clock));
  return seq;
}

/** What the log says of a key: never the hash, which could be checked against guesses. */
function keyFacts(key: ApiKey): GovernanceFacts {
  const { id, label, operator, role, org_id, team_id, key_scopes, prefix, expires_at_ms } = key;
  return { id, label, operator, role, org_id, team_id, key_scopes, prefix, expires_at_ms };
}

function refuseBeyond(actor: AuthenticatedOperator, wanted: NewOperator): void {
  if (mayGrant(actor, wanted)) return;
  throw new GrpcError(
    `operator \`${actor.name}\` cannot hand out the role \`${wanted.role}\`` +
      `${wanted.org_id === undefined ? "" : ` in organisation \`${wanted.org_id}\``}: ` +
      "at most the own role, within the own tenant",
    Code.PERMISSION_DENIED,
  );
}

/** Who is bound to a tenant sees its operators, and no others. */
function sees(actor: AuthenticatedOperator, { org_id, team_id, name }: OperatorRecord): boolean {
  return name === actor.name || mayGrant(actor, {
    role: "auditor",
    ...(org_id === undefined ? {} : { org_id }),
    ...(team_id === undefined ? {} : { team_id }),
  });
}

/** The tenant that is named, or the caller's own. */
function tenantOf(
  { orgId, teamId }: { readonly orgId: string; readonly teamId: string },
  actor: AuthenticatedOperator,
): { org_id?: string; team_id?: string } {
  const org_id = orgId === "" ? actor.org_id : orgId;
  const team_id = teamId === "" ? actor.team_id : teamId;
  return {
    ...(org_id === undefined ? {} : { org_id }),
    ...(team_id === undefined ? {} : { team_id }),
  };
}

function endOf(ttl_seconds: bigint, now_ms: number): { expires_at_ms?: number } {
  if (ttl_seconds === 0n) return {};
  if (ttl_seconds > BigInt(IAM_LIMITS.ttl_seconds)) {
    throw invalid(
      `ttl_seconds: \`${ttl_seconds}\` is more than ${IAM_LIMITS.ttl_seconds}; 0 means no end`,
    );
  }
  return { expires_at_ms: now_ms + Number(ttl_seconds) * 1_000 };
}

function roleNamed(text: string): OperatorRole {
  const role = parseRole(text);
  if (role !== undefined) return role;
  throw invalid(`role: cannot be \`${text.slice(0, 32)}\`: expected ${ROLES.join(", ")}`);
}

function keyScopeNamed(text: string): KeyScope {
  const scope = KEY_SCOPES.find((known) => known === text);
  if (scope !== undefined) return scope;
  throw invalid(`scopes: cannot hold \`${text.slice(0, 32)}\`: expected ${KEY_SCOPES.join(", ")}`);
}

function permissionsOf(role: OperatorRole): MessageInitShape<typeof PermissionSchema>[] {
  return PERMISSION_NAMES.filter((name) => PERMISSIONS[name][role] !== "none")
    .map((name) => ({ name, reach: PERMISSIONS[name][role] }));
}

function operatorMessage(
  on: IamDependencies,
  operator: OperatorRecord,
): MessageInitShape<typeof OperatorSchema> {
  return {
    name: operator.name,
    role: operator.role,
    orgId: operator.org_id ?? "",
    teamId: operator.team_id ?? "",
    status: on.operators.stateOf(operator),
    createdAtUnixMs: BigInt(operator.created_at_ms),
    createdBy: operator.created_by,
    expiresAtUnixMs: BigInt(operator.expires_at_ms ?? 0),
  };
}

function keyMessage(
  on: IamDependencies,
  key: ApiKey,
): MessageInitShape<typeof ApiKeySchema> {
  return {
    id: key.id,
    label: key.label,
    operator: key.operator,
    role: key.role,
    orgId: key.org_id ?? "",
    teamId: key.team_id ?? "",
    scopes: [...key.key_scopes],
    prefix: key.prefix,
    status: on.keys.statusOf(key),
    createdAtUnixMs: BigInt(key.created_at_ms),
    rotatedAtUnixMs: BigInt(key.rotated_at_ms ?? 0),
    expiresAtUnixMs: BigInt(key.expires_at_ms),
    lastUsedUnixMs: BigInt(key.last_used_ms ?? 0),
    overlapUntilUnixMs: BigInt(key.previous?.until_ms ?? 0),
  };
}

function unknownOperator(name: string): OperatorError {
  return new OperatorError("not_found", `there is no active operator \`${name.slice(0, 128)}\``);
}

const KEY_CODES = {
  invalid_field: Code.INVALID_ARGUMENT,
  not_allowed: Code.PERMISSION_DENIED,
  not_found: Code.NOT_FOUND,
  ended: Code.FAILED_PRECONDITION,
  limit_reached: Code.RESOURCE_EXHAUSTED,
} as const;

async function translated<T>(change: () => Promise<T>): Promise<T> {
  try {
    return await change();
  } catch (error) {
    if (error instanceof OperatorError) throw operatorFailure(error);
    if (error instanceof ApiKeyError) {
      throw new GrpcError(error.message, KEY_CODES[error.code], { cause: error });
    }
    throw error;
  }
}
