/**
 * Which requirement an entry is evidence for, and what the log cannot show. Two frameworks: the
 * record-keeping of the EU AI Act (Regulation (EU) 2024/1689) and the common criteria CC6 to CC8 of
 * SOC 2 (AICPA Trust Services Criteria, 2017 with the points of focus of 2022).
 *
 * An entry is evidence that something happened; whether a requirement is met is an auditor's
 * judgement, and the export says so.
 *
 * @module
 */
import type { EventType } from "../entry.ts";
import type { ComplianceRecord } from "./record.ts";

/** A framework that can be exported for. */
export type Framework = "eu-ai-act" | "soc2";

/** Every framework. */
export const FRAMEWORKS: readonly Framework[] = ["eu-ai-act", "soc2"];

/** One requirement, and which entries are evidence for it. */
interface Control {
  readonly id: string;
  /** What the requirement asks, in our words. */
  readonly title: string;
  readonly cites: (record: ComplianceRecord, traits: Traits) => boolean;
}

/** What kind of event an entry tells of. */
interface Traits {
  /** A question was decided. */
  readonly decision: boolean;
  /** Something was refused, redacted or found, or a bound was reached. */
  readonly security_event: boolean;
  /** A person's part in a decision. */
  readonly approval: boolean;
  /** What someone may do was granted, changed or removed. */
  readonly access: boolean;
  /** A credential, a registration or an operator came or went. */
  readonly credential: boolean;
  /** An agent was stopped. */
  readonly stop: boolean;
  /** Policy, configuration or an agent's standing was changed. */
  readonly change: boolean;
  readonly policy_change: boolean;
}

const APPROVALS: ReadonlySet<EventType> = new Set<EventType>([
  "ApprovalRequested",
  "ApprovalGranted",
  "ApprovalDenied",
  "ApprovalTimedOut",
  "ApprovalRouted",
  "ApprovalEscalated",
]);
const DECISION_EVENTS: ReadonlySet<EventType> = new Set<EventType>([
  "ToolCallIntercepted",
  "PolicyViolation",
  "CredentialLeakBlocked",
  "ApprovalRequested",
  "MessageBlocked",
  "ToolDispatched",
  "A2ACallIntercepted",
  "A2AImpersonationAttempted",
]);
const SECURITY_EVENTS: ReadonlySet<EventType> = new Set<EventType>([
  "PolicyViolation",
  "CredentialLeakBlocked",
  "MessageBlocked",
  "A2AImpersonationAttempted",
  "BudgetLimitApproached",
  "BudgetLimitExceeded",
  "SandboxFilesystemBlocked",
  "SandboxCpuTimeout",
  "SandboxOomKilled",
  "SandboxTerminated",
  "SandboxHostFnRateLimited",
]);

const CREDENTIAL_ACTION =
  /^(agent_(registered|deregistered|killed|token_)|enrolment_|operator_|key_)/;
const ACCESS_ACTION =
  /^(agent_|enrolment_|operator_|key_|enforcement_mode_|governance_level_|risk_tier_)/;
const STOP_ACTION = /^agent_(suspended|killed|deregistered)|halt|terminate|quarantine/;

function traitsOf({ event_type, action }: ComplianceRecord): Traits {
  const change = event_type === "GovernanceMutation" || event_type === "AgentForceDeregistered";
  return {
    decision: DECISION_EVENTS.has(event_type),
    security_event: SECURITY_EVENTS.has(event_type),
    approval: APPROVALS.has(event_type),
    access: event_type === "AgentForceDeregistered" || (change && ACCESS_ACTION.test(action)),
    credential: event_type === "AgentForceDeregistered" ||
      (change && CREDENTIAL_ACTION.test(action)),
    stop: event_type === "AgentForceDeregistered" || (change && STOP_ACTION.test(action)),
    change,
    policy_change: change && action.startsWith("policy_"),
  };
}

const EU_AI_ACT: readonly Control[] = [
  {
    id: "Art. 12(1)",
    title: "events are recorded automatically over the system's lifetime",
    cites: () => true,
  },
  {
    id: "Art. 12(2)(a)",
    title: "events that matter for risk situations (Art. 79(1)) and substantial modifications",
    cites: (_, { security_event, change }) => security_event || change,
  },
  {
    id: "Art. 12(2)(b)",
    title: "events that serve post-market monitoring (Art. 72)",
    cites: (_, { decision, security_event }) => decision || security_event,
  },
  {
    id: "Art. 12(2)(c)",
    title: "events that serve monitoring of operation by the deployer (Art. 26(5))",
    cites: (_, { decision, approval, stop }) => decision || approval || stop,
  },
  {
    id: "Art. 14(4)(d)",
    title: "a person decides not to use, or overrides, an output",
    cites: (_, { approval }) => approval,
  },
  {
    id: "Art. 14(4)(e)",
    title: "a person intervenes in the operation or stops it",
    cites: ({ actor }, { stop }) => stop && actor.startsWith("operator:"),
  },
  {
    id: "Art. 19(1)",
    title: "logs are kept by the provider",
    cites: () => true,
  },
  {
    id: "Art. 26(6)",
    title: "logs are kept by the deployer",
    cites: () => true,
  },
];

const SOC2: readonly Control[] = [
  {
    id: "CC6.1",
    title: "logical access is restricted",
    cites: (_, { decision }) => decision,
  },
  {
    id: "CC6.2",
    title: "those who get credentials are registered and authorised; credentials are removed",
    cites: (_, { credential }) => credential,
  },
  {
    id: "CC6.3",
    title: "access is granted, changed and removed by role and least privilege",
    cites: (_, { access }) => access,
  },
  {
    id: "CC6.6",
    title: "access from outside the boundary is restricted",
    cites: ({ event_type, action }) =>
      event_type === "A2AImpersonationAttempted" || action.startsWith("network"),
  },
  {
    id: "CC6.7",
    title: "transmission and movement of information is restricted",
    cites: ({ event_type, finding_kinds }) =>
      event_type === "CredentialLeakBlocked" || event_type === "MessageBlocked" ||
      finding_kinds.length > 0,
  },
  {
    id: "CC6.8",
    title: "unauthorised or malicious software is prevented or detected",
    cites: ({ event_type, action }) =>
      event_type.startsWith("Sandbox") || action.startsWith("process"),
  },
  {
    id: "CC7.1",
    title: "changes of configuration are detected",
    cites: (_, { change }) => change,
  },
  {
    id: "CC7.2",
    title: "components are monitored for anomalies",
    cites: (_, { decision, security_event }) => decision || security_event,
  },
  {
    id: "CC7.3",
    title: "security events are evaluated",
    cites: (_, { security_event, approval }) => security_event || approval,
  },
  {
    id: "CC7.4",
    title: "incidents are responded to",
    cites: (_, { stop }) => stop,
  },
  {
    id: "CC8.1",
    title: "changes are authorised and recorded",
    cites: (_, { policy_change }) => policy_change,
  },
];

const CONTROLS: Readonly<Record<Framework, readonly Control[]>> = {
  "eu-ai-act": EU_AI_ACT,
  soc2: SOC2,
};

/** Ids of the requirements that an entry is evidence for, in the framework's order. */
export function controlsOf(framework: Framework, record: ComplianceRecord): readonly string[] {
  const traits = traitsOf(record);
  return CONTROLS[framework].filter(({ cites }) => cites(record, traits)).map(({ id }) => id);
}

/** Every requirement of a framework that some entry can be evidence for. */
export function catalogue(
  framework: Framework,
): readonly { readonly id: string; readonly title: string }[] {
  return CONTROLS[framework].map(({ id, title }) => ({ id, title }));
}

const NEVER_EVIDENCED: readonly string[] = [
  "actions that did not pass this gateway: they are not measured, neither as allowed nor as clean",
  "what was said: prompts, arguments, results and secrets are never stored",
  "events that agents reported of themselves (payload `source: reported`) are their own word",
  "that any requirement is met: an entry is evidence of one event, the judgement is the auditor's",
];

/** What a log of this kind cannot show, framework by framework. */
export const NOT_EVIDENCED: Readonly<Record<Framework, readonly string[]>> = {
  "eu-ai-act": [
    ...NEVER_EVIDENCED,
    "whether the system is high-risk (Art. 6), and Art. 9 to 11, 13, 15 and 17",
    "Art. 12(3): periods of use, reference databases and matches of remote biometric identification",
    "Art. 19(1), Art. 26(6): that logs are kept for at least six months; see the retention settings",
  ],
  soc2: [
    ...NEVER_EVIDENCED,
    "CC6.4 and CC6.5: physical access and disposal",
    "CC7.5: recovery from incidents",
    "CC1 to CC5 and CC9, and the criteria of availability, integrity, confidentiality and privacy",
    "that a control was designed well, or worked over the whole period",
  ],
};
