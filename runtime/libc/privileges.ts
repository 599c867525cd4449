/**
 * The start-up check of the runtime's privileges (contract `interception` §1.2): three capabilities
 * leave the bounding set for good, and a runtime that still holds one of them does not start.
 *
 * The kernel keeps both sets for each thread, and Deno's other threads run already. They were started
 * with the same sets, so that what is effective here is effective there; the bounding set counts
 * only where a program is started, which the runtime has no permission for.
 *
 * @module
 */
import type { Libc } from "./libc.ts";

/** Capabilities that observe or reprogram the kernel; their numbers are from `linux/capability.h`. */
const REFUSED = [
  { name: "CAP_SYS_ADMIN", number: 21 },
  { name: "CAP_PERFMON", number: 38 },
  { name: "CAP_BPF", number: 39 },
] as const;

const PR_CAPBSET_READ = 23;
const PR_CAPBSET_DROP = 24;
/** `_LINUX_CAPABILITY_VERSION_3`: two words a set. */
const CAPABILITY_VERSION_3 = 0x2008_0522;

/** What the check found. */
export interface PrivilegeReport {
  /** `dropped`: all three are out of the bounding set; `unprivileged`: they could not be, nor are they held. */
  readonly state: "dropped" | "unprivileged" | "privileged" | "unmeasured";
  /** Names of the refused capabilities still effective. */
  readonly effective: readonly string[];
  /** Names that left the bounding set, or were not in it. */
  readonly bounded: readonly string[];
  readonly detail: string;
}

/** Where the calls cannot be made, nothing is claimed. */
export function unmeasuredPrivileges(detail: string): PrivilegeReport {
  return { state: "unmeasured", effective: [], bounded: [], detail };
}

/** Drops what can be dropped, then reads what is left. */
export function dropPrivileges(libc: Libc): PrivilegeReport {
  const bounded = REFUSED.filter(({ number }) => {
    libc.prctl(PR_CAPBSET_DROP, BigInt(number), 0n, 0n, 0n);
    return libc.prctl(PR_CAPBSET_READ, BigInt(number), 0n, 0n, 0n) === 0;
  }).map(({ name }) => name);
  const effective = effectiveOf(libc);
  if (effective === undefined) {
    return unmeasuredPrivileges("the kernel did not say which capabilities are effective");
  }
  if (effective.length > 0) {
    return {
      state: "privileged",
      effective,
      bounded,
      detail: `${effective.join(", ")} are effective`,
    };
  }
  const all = bounded.length === REFUSED.length;
  return {
    state: all ? "dropped" : "unprivileged",
    effective,
    bounded,
    detail: all ? "out of the bounding set" : "none is effective; the bounding set may hold them",
  };
}

function effectiveOf(libc: Libc): string[] | undefined {
  // Version and process (0: this one); then effective, permitted, inheritable of each word.
  const header = Uint32Array.of(CAPABILITY_VERSION_3, 0);
  const data = new Uint32Array(6);
  if (libc.capget(header, data) !== 0) return undefined;
  return REFUSED.filter(({ number }) => {
    const word = data[number < 32 ? 0 : 3] ?? 0;
    return (word >>> (number % 32) & 1) === 1;
  }).map(({ name }) => name);
}

/**
 * What to tell an operator whose runtime holds too much.
 *
 * @param report A report in state `privileged`.
 */
export function privilegeRefusal(report: PrivilegeReport): string {
  return `the runtime holds \`${report.effective.join("`, `")}\` and needs none of them: ` +
    "start it as an ordinary user, or under `setpriv --bounding-set=-sys_admin,-perfmon,-bpf " +
    "--inh-caps=-sys_admin,-perfmon,-bpf`; `--allow-privileged` starts it all the same and says so in /health";
}
