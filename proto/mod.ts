/**
 * The wire messages and services, one namespace a package. Names are always qualified by package:
 * two packages define `Decision` with different numbers and two define `ApprovalEvent`
 * (contract `wire` §9 #28).
 *
 * @module
 */
export * as common from "./gen/assembly/common/v1/common_pb.ts";
export * as agent from "./gen/assembly/agent/v1/agent_pb.ts";
export * as policy from "./gen/assembly/policy/v1/policy_pb.ts";
export * as audit from "./gen/assembly/audit/v1/audit_pb.ts";
export * as event from "./gen/assembly/event/v1/event_pb.ts";
export * as approval from "./gen/assembly/approval/v1/approval_pb.ts";
export * as topology from "./gen/assembly/topology/v1/topology_pb.ts";
export * as secrets from "./gen/assembly/secrets/v1/secrets_pb.ts";
export * as gateway from "./gen/assembly/gateway/v1/invalidation_pb.ts";
export * as ipc from "./gen/assembly/ipc/v1/ipc_pb.ts";
export * as devint from "./gen/assembly/devint/v1/devint_pb.ts";
export * as replay from "./gen/assembly/admin/v1/replay_pb.ts";
export * as policy_admin from "./gen/assembly/admin/v1/policy_admin_pb.ts";
export * as iam from "./gen/assembly/admin/v1/iam_pb.ts";
export * as approvals from "./gen/assembly/admin/v1/approvals_pb.ts";
export * as ledger from "./gen/assembly/admin/v1/ledger_pb.ts";
export * as alerts from "./gen/assembly/admin/v1/alerts_pb.ts";
export * as admin from "./gen/assembly/admin/v1/admin_pb.ts";
export * as identity from "./gen/assembly/admin/v1/identity_pb.ts";
export * as admin_topology from "./gen/assembly/admin/v1/topology_pb.ts";
export * as operations from "./gen/assembly/admin/v1/operations_pb.ts";
export * as secret_admin from "./gen/assembly/admin/v1/secrets_pb.ts";
export * as runtime from "./gen/assembly/admin/v1/runtime_pb.ts";
