/**
 * The flags that a policy amounts to, asked of the real Deno in a child process.
 */
import assert from "node:assert/strict";
import fc from "fast-check";
import { EVERY_ACCESS, POLICIES } from "../../core/deno_flags/deno_flags_fixture.ts";
import { denoFlags } from "../../core/deno_flags/compile.ts";
import {
  type DenoPermissionSet,
  toDenoJson,
  toFlags,
} from "../../core/deno_flags/permission_set.ts";
import { type DenoAccess, denoAllows } from "../../core/deno_flags/semantics.ts";
import { agent } from "../../core/policy/policy_fixture.ts";

/** Asks Deno itself, under the flags, about many accesses in one process. */
const ASK = `
  const asked = JSON.parse(Deno.args[0]);
  const states = [];
  for (const one of asked) states.push((await Deno.permissions.query(one)).state === "granted");
  console.log(JSON.stringify(states));
`;

function descriptorOf(access: DenoAccess): Record<string, string> {
  switch (access.kind) {
    case "read":
    case "write":
    case "ffi":
      return { name: access.kind, path: access.path };
    case "net":
    case "import": {
      const host = access.host.includes(":") ? `[${access.host}]` : access.host;
      return { name: access.kind, host: `${host}:${access.port}` };
    }
    case "run":
      return { name: "run", command: access.name };
    case "env":
      return { name: "env", variable: access.name };
    case "sys":
      return { name: "sys", kind: "uid" };
  }
}

async function denoSays(flags: readonly string[], cwd: string): Promise<boolean[]> {
  const asked = JSON.stringify(EVERY_ACCESS.map(descriptorOf));
  const { stdout, stderr, code } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--no-lock", ...flags, "ask.ts", asked],
    cwd,
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
    clearEnv: true,
    env: { DENO_NO_UPDATE_CHECK: "1" },
  }).output();
  assert.equal(code, 0, new TextDecoder().decode(stderr));
  return JSON.parse(new TextDecoder().decode(stdout));
}

function modelSays(permissions: DenoPermissionSet): boolean[] {
  return EVERY_ACCESS.map((access) => denoAllows(permissions, access));
}

Deno.test("Deno itself answers under the flags, and under the deno.json, as the model says", async () => {
  const cwd = await Deno.makeTempDir();
  try {
    await Deno.writeTextFile(`${cwd}/ask.ts`, ASK);
    const sample = fc.sample(POLICIES, { numRuns: 12, seed: 5 });
    for (const policy of sample) {
      const { permissions } = denoFlags(policy, agent(), { moving: "met" });
      const label = (says: boolean[]) =>
        EVERY_ACCESS.filter((_, at) => says[at]).map((access) => JSON.stringify(access));
      const expected = label(modelSays(permissions));
      assert.deepEqual(label(await denoSays(toFlags(permissions), cwd)), expected);
      await Deno.writeTextFile(`${cwd}/deno.json`, JSON.stringify(toDenoJson(permissions)));
      assert.deepEqual(label(await denoSays(["-P", "--no-prompt"], cwd)), expected);
      await Deno.remove(`${cwd}/deno.json`);
    }
  } finally {
    await Deno.remove(cwd, { recursive: true });
  }
});
