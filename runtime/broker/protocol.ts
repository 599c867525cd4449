/**
 * Deno's permission broker protocol, as Deno 2.9.6 speaks it: one JSON object a line, one request
 * in flight on a connection, ids ascending from 1. `docs/permission-broker.md` has what was
 * measured; `deno_protocol_test.ts` holds Deno to it.
 *
 * @module
 */

/** What Deno may ask for. */
export const PERMISSIONS = ["read", "write", "net", "run", "env", "sys", "ffi", "import"] as const;

/** One kind of permission. */
export type Permission = typeof PERMISSIONS[number];

/** One request. */
export interface PermissionRequest {
  /** Deno counts in 32 bits, from 1, one connection a process. */
  readonly id: number;
  /** What the process says of itself; the kernel's word is asked where it can be. */
  readonly pid: number;
  readonly permission: Permission;
  /** Absent when everything of the kind is asked for at once. */
  readonly value?: string;
}

/** A request, or why a line is none. A line that is none ends its connection. */
export type ParsedRequest =
  | { readonly ok: true; readonly request: PermissionRequest }
  | { readonly ok: false; readonly why: string };

/** The version of the protocol that is understood. */
export const PROTOCOL_VERSION = 1;

const ID_MAX = 2 ** 32 - 1;

/**
 * Reads one line.
 *
 * @param line Without its line feed.
 */
export function parseRequest(line: string): ParsedRequest {
  let message: unknown;
  try {
    message = JSON.parse(line);
  } catch {
    return refused("a line is not JSON");
  }
  if (typeof message !== "object" || message === null) return refused("a line is not an object");
  const { v, id, pid, permission, value } = message as Record<string, unknown>;
  if (v !== PROTOCOL_VERSION) {
    return refused(`protocol version ${PROTOCOL_VERSION} was expected`);
  }
  if (!isCount(id)) return refused("`id` is not a 32-bit number from 1");
  if (!isCount(pid)) return refused("`pid` is not a process id");
  const known = PERMISSIONS.find((one) => one === permission);
  if (known === undefined) return refused("`permission` is of a kind this broker does not know");
  if (value === null || value === undefined) {
    return { ok: true, request: { id, pid, permission: known } };
  }
  if (typeof value !== "string") return refused("`value` is neither text nor null");
  return { ok: true, request: { id, pid, permission: known, value } };
}

function refused(why: string): ParsedRequest {
  return { ok: false, why };
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && Number(value) >= 1 && Number(value) <= ID_MAX;
}

/** What the broker says to one request. */
export type Verdict =
  | { readonly result: "allow" }
  | { readonly result: "deny"; readonly reason: string };

/** One answer, ready to be sent. */
export function answerLine(id: number, verdict: Verdict): string {
  return `${JSON.stringify({ id, ...verdict })}\n`;
}
