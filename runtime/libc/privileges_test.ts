import assert from "node:assert/strict";
import { libcPaths } from "./paths.ts";
import type { Libc } from "./libc.ts";
import { dropPrivileges, privilegeRefusal } from "./privileges.ts";

/** A kernel with the given effective set, in which nothing of the bounding set can be dropped. */
function kernel(effective: bigint, droppable: boolean): Libc {
  const dropped = new Set<number>();
  return {
    getsockopt: () => -1,
    getsockname: () => -1,
    geteuid: () => 0,
    prctl: (option: number, capability: bigint) => {
      if (option === 24 && droppable) dropped.add(Number(capability));
      return option === 23 ? (dropped.has(Number(capability)) ? 0 : 1) : 0;
    },
    capget: (_header: unknown, data: Uint32Array) => {
      data[0] = Number(effective & 0xffff_ffffn);
      data[3] = Number(effective >> 32n);
      return 0;
    },
  } as unknown as Libc;
}

Deno.test("a runtime that holds a capability of the kernel's observers is told which", () => {
  for (
    const [bit, name] of [[21n, "CAP_SYS_ADMIN"], [38n, "CAP_PERFMON"], [39n, "CAP_BPF"]] as const
  ) {
    const report = dropPrivileges(kernel(1n << bit, true));
    assert.equal(report.state, "privileged");
    assert.deepEqual(report.effective, [name]);
    assert.match(privilegeRefusal(report), new RegExp(`holds \`${name}\``));
  }
});

Deno.test("the three leave the bounding set; without the right to drop them, that is said", () => {
  const others = ~((1n << 21n) | (1n << 38n) | (1n << 39n)) & 0xffff_ffff_ffff_ffffn;
  const dropped = dropPrivileges(kernel(others, true));
  assert.equal(dropped.state, "dropped");
  assert.deepEqual(dropped.bounded, ["CAP_SYS_ADMIN", "CAP_PERFMON", "CAP_BPF"]);
  const plain = dropPrivileges(kernel(0n, false));
  assert.deepEqual([plain.state, plain.bounded], ["unprivileged", []]);
});

Deno.test("a kernel that does not answer is unmeasured, not unprivileged", () => {
  const silent = { ...kernel(0n, true), capget: () => -1 } as unknown as Libc;
  assert.equal(dropPrivileges(silent).state, "unmeasured");
});

Deno.test("only the C library's own paths are ever asked for, and none off Linux", () => {
  for (const arch of ["x86_64", "aarch64"] as const) {
    for (const path of libcPaths("linux", arch)) {
      assert.match(path, /^\/(usr\/)?lib(64)?\/([a-z0-9_-]+\/)?(libc\.so\.6|ld-musl-\w+\.so\.1)$/);
    }
    assert.deepEqual(libcPaths("darwin", arch), []);
  }
});
