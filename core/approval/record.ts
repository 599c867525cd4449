/**
 * Requests as text and back. Reading is strict: a record that says anything unexpected is refused by
 * name, never repaired and never guessed.
 *
 * @module
 */
import type { Requester, Target } from "./approver.ts";
import { CALL_PARTS, type CallDigest, type CallPart } from "./bound_call.ts";
import type { GrantTerms } from "./condition.ts";
import type { ApprovalRequest, ApprovalState, RoutingStep, RulePlace, Vote } from "./request.ts";

/** A stored request that cannot be understood. */
export class ApprovalRecordError extends Error {
  override readonly name = "ApprovalRecordError";
}

/** Version of the stored form. */
const FORM = 1;

/** A request as JSON text. */
export function writeRequest(request: ApprovalRequest): string {
  return JSON.stringify({ form: FORM, ...request });
}

/**
 * The request in a stored text.
 *
 * @param key The record's key, for messages.
 * @throws {ApprovalRecordError} naming the key and the field.
 */
export function readRequest(key: string, text: string): ApprovalRequest {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new ApprovalRecordError(`record \`${key}\` is not JSON`);
  }
  const read = new Reader(key, "", value);
  if (read.integer("form") !== FORM) read.fail("form", `expected ${FORM}`);
  const rule = read.optional("rule", rulePlace);
  const escalation = read.optional("escalation", (at) => ({
    at_ms: at.moment("at_ms"),
    to: target(at.object("to")),
  }));
  const request: ApprovalRequest = {
    request_id: read.matching("request_id", UUID),
    call: callDigest(read.object("call")),
    requester: requester(read.object("requester")),
    action_kind: read.text("action_kind"),
    action_type: read.integer("action_type"),
    resource: read.text("resource"),
    policy_digests: read.texts("policy_digests"),
    ...(rule === undefined ? {} : { rule }),
    micro_usd: read.integer("micro_usd"),
    asked_by: read.oneOf("asked_by", ["policy", "anomaly"]),
    why: read.text("why"),
    submitted_at_ms: read.moment("submitted_at_ms"),
    expires_at_ms: read.moment("expires_at_ms"),
    routing_status: read.text("routing_status"),
    targets: read.list("targets", target),
    quorum: read.integer("quorum"),
    agents_may_decide: read.boolean("agents_may_decide"),
    owner_may_decide: read.boolean("owner_may_decide"),
    ...(escalation === undefined ? {} : { escalation }),
    steps: read.list("steps", routingStep),
    votes: read.list("votes", vote),
    resume_hashes: read.texts("resume_hashes"),
    state: approvalState(read.object("state")),
  };
  if (request.targets.length === 0) read.fail("targets", "expected at least one");
  if (request.quorum < 1) read.fail("quorum", "expected at least 1");
  read.done();
  return request;
}

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
const DIGEST = /^sha256:[0-9a-f]{64}$/;

function callDigest(read: Reader): CallDigest {
  const parts = read.object("parts");
  const found = Object.fromEntries(CALL_PARTS.map((part) => [part, parts.matching(part, DIGEST)]));
  parts.done();
  const call = {
    digest: read.matching("digest", DIGEST),
    parts: found as Record<CallPart, string>,
  };
  read.done();
  return call;
}

function requester(read: Reader): Requester {
  const org_id = read.optionalText("org_id");
  const team_id = read.optionalText("team_id");
  const root_key = read.optionalText("root_key");
  const owner = read.optionalText("owner");
  const found: Requester = {
    key: read.text("key"),
    agent_id: read.text("agent_id"),
    ...(org_id === undefined ? {} : { org_id }),
    ...(team_id === undefined ? {} : { team_id }),
    assurance: read.oneOf("assurance", ["unattributed", "asserted", "bound"]),
    ...(root_key === undefined ? {} : { root_key }),
    ancestors: read.texts("ancestors"),
    enrolled: read.boolean("enrolled"),
    ...(owner === undefined ? {} : { owner }),
  };
  read.done();
  return found;
}

function rulePlace(read: Reader): RulePlace {
  const place = {
    file: read.text("file"),
    line: read.integer("line"),
    column: read.integer("column"),
    path: read.text("path"),
    policy_doc_id: read.text("policy_doc_id"),
  };
  read.done();
  return place;
}

function target(read: Reader): Target {
  const kind = read.oneOf("kind", ["role", "named"]);
  const found: Target = kind === "role"
    ? { kind, role: read.text("role") }
    : { kind, names: read.texts("names") };
  read.done();
  return found;
}

function routingStep(read: Reader): RoutingStep {
  const by = read.optionalText("by");
  const step: RoutingStep = {
    action: read.oneOf("action", ["routed", "escalated", "forwarded"]),
    at_ms: read.moment("at_ms"),
    to: read.text("to"),
    ...(by === undefined ? {} : { by }),
  };
  read.done();
  return step;
}

function grantTerms(read: Reader): GrantTerms {
  const terms = {
    condition: read.text("condition"),
    max_uses: read.integer("max_uses"),
    valid_until_ms: read.moment("valid_until_ms"),
  };
  if (terms.max_uses < 1) read.fail("max_uses", "expected at least 1");
  read.done();
  return terms;
}

function vote(read: Reader): Vote {
  const terms = read.optional("terms", grantTerms);
  const found: Vote = {
    by: read.text("by"),
    verdict: read.oneOf("verdict", ["approve", "reject"]),
    at_ms: read.moment("at_ms"),
    reason: read.text("reason"),
    ...(terms === undefined ? {} : { terms }),
  };
  if ((found.verdict === "approve") !== (terms !== undefined)) {
    read.fail("terms", "expected with a yes, and only there");
  }
  read.done();
  return found;
}

function approvalState(read: Reader): ApprovalState {
  const state = stateOf(read);
  read.done();
  return state;
}

function stateOf(read: Reader): ApprovalState {
  const status = read.oneOf("status", [
    "pending",
    "approved",
    "spent",
    "rejected",
    "expired",
    "revoked",
  ]);
  switch (status) {
    case "pending":
      return { status };
    case "approved":
    case "spent": {
      const terms = grantTerms(read.object("terms"));
      const uses = read.integer("uses");
      const decided_at_ms = read.moment("decided_at_ms");
      if (status === "spent") {
        if (uses !== terms.max_uses) read.fail("uses", `expected ${terms.max_uses}`);
        return { status, ended_at_ms: read.moment("ended_at_ms"), decided_at_ms, terms, uses };
      }
      // A grant without a use left must not come back as one that has some.
      if (uses < 0 || uses >= terms.max_uses) read.fail("uses", `expected 0 to ${terms.max_uses}`);
      return { status, decided_at_ms, terms, uses };
    }
    case "expired":
      return {
        status,
        ended_at_ms: read.moment("ended_at_ms"),
        while: read.oneOf("while", ["pending", "approved"]),
      };
    case "rejected":
    case "revoked":
      return { status, ended_at_ms: read.moment("ended_at_ms"), reason: read.text("reason") };
  }
}

/** Reads the members of one object, each once; what is left at the end is refused. */
class Reader {
  readonly #key: string;
  readonly #path: string;
  readonly #members: Map<string, unknown>;

  constructor(key: string, path: string, value: unknown) {
    this.#key = key;
    this.#path = path;
    this.#members = new Map();
    if (typeof value !== "object" || value === null || Array.isArray(value)) {
      throw new ApprovalRecordError(`record \`${key}\`: ${path || "it"} is not an object`);
    }
    this.#members = new Map(Object.entries(value));
  }

  fail(name: string, why: string): never {
    throw new ApprovalRecordError(`record \`${this.#key}\`: field \`${this.#path}${name}\` ${why}`);
  }

  done(): void {
    const [left] = this.#members.keys();
    if (left !== undefined) this.fail(left.slice(0, 64), "is not known");
  }

  text(name: string): string {
    const value = this.#take(name);
    return typeof value === "string" ? value : this.fail(name, "is not a text");
  }

  matching(name: string, form: RegExp): string {
    const value = this.text(name);
    return form.test(value) ? value : this.fail(name, "has not the expected form");
  }

  optionalText(name: string): string | undefined {
    return this.#members.has(name) ? this.text(name) : undefined;
  }

  integer(name: string): number {
    const value = this.#take(name);
    return typeof value === "number" && Number.isSafeInteger(value)
      ? value
      : this.fail(name, "is not a whole number");
  }

  /** Milliseconds since the epoch, within what a date can be. */
  moment(name: string): number {
    const value = this.integer(name);
    return value >= 0 && value <= 8_640_000_000_000_000
      ? value
      : this.fail(name, "is not a moment");
  }

  boolean(name: string): boolean {
    const value = this.#take(name);
    return typeof value === "boolean" ? value : this.fail(name, "is not true or false");
  }

  oneOf<const W extends string>(name: string, words: readonly W[]): W {
    const value = this.#take(name);
    return words.find((word) => word === value) ?? this.fail(name, `expected ${words.join(", ")}`);
  }

  texts(name: string): readonly string[] {
    const value = this.#take(name);
    return Array.isArray(value) && value.every((item) => typeof item === "string")
      ? value
      : this.fail(name, "is not a list of texts");
  }

  object(name: string): Reader {
    return new Reader(this.#key, `${this.#path}${name}.`, this.#take(name));
  }

  optional<T>(name: string, read: (reader: Reader) => T): T | undefined {
    return this.#members.has(name) ? read(this.object(name)) : undefined;
  }

  list<T>(name: string, read: (reader: Reader) => T): readonly T[] {
    const value = this.#take(name);
    if (!Array.isArray(value)) return this.fail(name, "is not a list");
    return value.map((item, index) =>
      read(new Reader(this.#key, `${this.#path}${name}[${index}].`, item))
    );
  }

  #take(name: string): unknown {
    if (!this.#members.has(name)) this.fail(name, "is missing");
    const value = this.#members.get(name);
    this.#members.delete(name);
    return value;
  }
}
