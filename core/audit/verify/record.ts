/**
 * A line read as an audit entry, and the hash its content should have
 * (contract `wire` §5.2-§5.4), written from the contract alone.
 *
 * @module
 */
import { hash } from "node:crypto";
import { type Json, JsonError, readJson } from "./json.ts";

/** What a chain check needs of a line. */
export interface LineRecord {
  readonly seq: bigint;
  /** Hex. */
  readonly previous_hash: string;
  /** Hex, as the line states it. */
  readonly stated_hash: string;
  /** Hex, as the content has it. */
  readonly computed_hash: string;
}

/** A line that is not an audit entry. */
export class RecordError extends Error {
  override readonly name = "RecordError";
}

const NAMES = ["ToolCallIntercepted", "PolicyViolation", "CredentialLeakBlocked"].concat(
  ["Requested", "Granted", "Denied"].map((end) => `Approval${end}`),
  ["Approached", "Exceeded"].map((end) => `BudgetLimit${end}`),
  ["TimedOut", "Routed", "Escalated"].map((end) => `Approval${end}`),
  ["AgentForceDeregistered", "MessageBlocked", "ToolDispatched"],
  ["A2ACallIntercepted", "A2AImpersonationAttempted"],
  ["Started", "FilesystemBlocked", "CpuTimeout", "OomKilled", "Terminated", "HostFnRateLimited"]
    .map((end) => `Sandbox${end}`),
  ["GovernanceMutation"],
);

const REQUIRED = "seq timestamp_ns event_type agent_id session_id payload previous_hash entry_hash"
  .split(" ");
const KNOWN = new Set([
  ...REQUIRED,
  ..."root_agent_id parent_agent_id team_id org_id delegation_reason spawned_by_tool depth".split(
    " ",
  ),
  ..."credential_findings redacted_payload policy_doc_id".split(" "),
]);

/** @throws {RecordError} Saying what is wrong with the line. */
export function readRecord(line: string): LineRecord {
  let members: Json;
  try {
    members = readJson(line);
  } catch (error) {
    throw new RecordError(error instanceof JsonError ? error.message : "is not JSON");
  }
  if (!(members instanceof Map)) throw new RecordError("is not a JSON object");
  for (const name of members.keys()) {
    if (!KNOWN.has(name)) {
      throw new RecordError(`has member \`${name.slice(0, 64)}\`, which no audit entry has`);
    }
  }
  const previous_hash = octets(members, "previous_hash", 32);
  return {
    seq: integer(members, "seq", 64),
    previous_hash: hex(previous_hash),
    stated_hash: hex(octets(members, "entry_hash", 32)),
    computed_hash: hash("sha256", canonical(members, previous_hash), "hex"),
  };
}

type Members = Map<string, Json>;

function bad(name: string, expected: string): never {
  throw new RecordError(`has a member \`${name}\` that is not ${expected}`);
}

function integer(members: Members, name: string, bits: 32 | 64): bigint {
  const value = members.get(name);
  if (typeof value !== "number" && typeof value !== "bigint") bad(name, "an integer");
  const whole = BigInt(value);
  if (whole < 0n || whole >> BigInt(bits) !== 0n) bad(name, `an unsigned ${bits}-bit integer`);
  return whole;
}

function string(members: Members, name: string): string {
  const value = members.get(name);
  if (typeof value !== "string" || !value.isWellFormed()) bad(name, "a text");
  return value;
}

function octets(members: Members, name: string, length: number): readonly number[] {
  const value = members.get(name);
  if (!Array.isArray(value) || value.length !== length) bad(name, `${length} bytes`);
  for (const octet of value) {
    if (typeof octet !== "number" || octet < 0 || octet > 255) bad(name, `${length} bytes`);
  }
  return value as number[];
}

const HEX = Array.from({ length: 256 }, (_, octet) => octet.toString(16).padStart(2, "0"));

function hex(octets: readonly number[]): string {
  let text = "";
  for (const octet of octets) text += HEX[octet];
  return text;
}

/** Collects bytes in order. */
class Sink {
  bytes = new Uint8Array(2_048);
  length = 0;

  #grow(more: number): void {
    if (this.length + more <= this.bytes.length) return;
    const larger = new Uint8Array((this.length + more) * 2);
    larger.set(this.bytes.subarray(0, this.length));
    this.bytes = larger;
  }

  octets(values: readonly number[]): void {
    this.#grow(values.length);
    for (const value of values) this.bytes[this.length++] = value;
  }

  integer(value: bigint, bytes: number): void {
    this.#grow(bytes);
    for (let i = bytes - 1, rest = value; i >= 0; i--, rest >>= 8n) {
      this.bytes[this.length + i] = Number(rest & 255n);
    }
    this.length += bytes;
  }

  text(text: string): number {
    this.#grow(text.length * 3);
    const { written } = UTF8.encodeInto(text, this.bytes.subarray(this.length));
    this.length += written;
    return written;
  }

  prefixed(text: string): void {
    const at = this.length;
    this.integer(0n, 4);
    const written = this.text(text);
    new DataView(this.bytes.buffer).setUint32(at, written);
  }
}

const UTF8 = new TextEncoder();

// One for the process: the bytes are hashed before the next line is read.
const sink = new Sink();

function canonical(members: Members, previous_hash: readonly number[]): Uint8Array {
  const number = NAMES.indexOf(string(members, "event_type"));
  if (number < 0) bad("event_type", "a known event type");
  sink.length = 0;
  sink.integer(integer(members, "seq", 64), 8);
  sink.integer(integer(members, "timestamp_ns", 64), 8);
  sink.integer(BigInt(number), 4);
  sink.octets(octets(members, "agent_id", 16));
  sink.octets(octets(members, "session_id", 16));
  sink.octets(previous_hash);
  sink.text(string(members, "payload"));
  for (const name of ["root_agent_id", "parent_agent_id"]) {
    if (members.has(name)) sink.octets(octets(members, name, 16));
  }
  for (const name of ["team_id", "delegation_reason", "spawned_by_tool"]) {
    if (members.has(name)) sink.prefixed(string(members, name));
  }
  if (members.has("depth")) sink.integer(integer(members, "depth", 32), 4);
  if (members.has("org_id")) sink.prefixed(string(members, "org_id"));
  redaction(members);
  if (members.has("policy_doc_id")) sink.prefixed(string(members, "policy_doc_id"));
  return sink.bytes.subarray(0, sink.length);
}

function redaction(members: Members): void {
  const list = members.get("credential_findings") ?? [];
  if (!Array.isArray(list)) bad("credential_findings", "a list");
  const redacted = members.has("redacted_payload");
  if (list.length === 0 && !redacted) return;
  sink.integer(BigInt(list.length), 4);
  for (const finding of list) {
    if (!(finding instanceof Map)) bad("credential_findings", "a list of objects");
    string(finding, "kind");
    sink.integer(integer(finding, "offset", 64), 8);
    sink.prefixed(string(finding, "matched"));
  }
  sink.integer(redacted ? 1n : 0n, 1);
  if (redacted) sink.prefixed(string(members, "redacted_payload"));
}
