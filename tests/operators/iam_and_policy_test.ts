/**
 * Operators, keys and policy changes as people use them: `aasm` against a gateway in a process of
 * its own, under the launcher's permissions.
 */
import assert from "node:assert/strict";
import { runCli } from "../../cli/testing/run_cli.ts";
import { inTemporaryDirectory, startGatewayProcess } from "../harness/gateway_process.ts";

const STRICT = "tools: { bash: { allow: false } }\n";
const WIDE = "tools: { bash: { allow: true } }\n";

interface Running {
  readonly directory: string;
  /** Runs `aasm` with a token file of the directory. */
  aasm(token: string, ...argv: string[]): ReturnType<typeof runCli>;
  /** The same, and reads its JSON. */
  // deno-lint-ignore no-explicit-any -- the answers of a dozen commands
  json(token: string, ...argv: string[]): Promise<any>;
}

async function withGateway(
  flags: readonly string[],
  use: (running: Running) => Promise<void>,
): Promise<void> {
  await inTemporaryDirectory(async (directory) => {
    await Deno.mkdir(`${directory}/policies`);
    await Deno.writeTextFile(`${directory}/policies/a.yaml`, STRICT);
    const gateway = await startGatewayProcess(
      ["--policy", "policies", "--policy-writable", "--state-dir", "state", ...flags],
      directory,
    );
    await Deno.copyFile(`${directory}/state/operator.token`, `${directory}/local`);
    const aasm = (token: string, ...argv: string[]) =>
      runCli(["--gateway", gateway.address, "--token-file", `${directory}/${token}`, ...argv]);
    try {
      await use({
        directory,
        aasm,
        json: async (token, ...argv) => {
          const { code, out, err } = await aasm(token, ...argv, "--output", "json");
          assert.ok(code === 0 || code === 4, `${argv.join(" ")}: ${err}`);
          return JSON.parse(out);
        },
      });
    } finally {
      assert.equal(await gateway.stop(), 0, gateway.log());
    }
  });
}

Deno.test("an owner makes people and keys; a key works, is rotated, and dies when revoked", async () => {
  await withGateway([], async ({ directory, aasm, json }) => {
    const made = await json("local", "iam", "operators", "create", "alice", "--role", "auditor");
    await Deno.writeTextFile(`${directory}/alice`, made.token);
    assert.equal((await json("alice", "iam", "whoami")).operator.role, "auditor");
    const refused = await aasm("alice", "iam", "keys", "create", "x", "--scope", "admin");
    assert.equal(refused.code, 1);
    assert.match(refused.err, /the role `auditor` does not include `key.own`/);
    const key = await json("local", "iam", "keys", "create", "ci", "--scope", "read:policies");
    await Deno.writeTextFile(`${directory}/ci`, key.secret);
    assert.equal((await json("ci", "policy", "history")).length, 1);
    assert.equal((await aasm("ci", "agent", "list")).code, 1);
    const rotated = await json("local", "iam", "keys", "rotate", key.key.id);
    assert.equal((await aasm("ci", "policy", "history")).code, 1);
    await Deno.writeTextFile(`${directory}/ci`, rotated.secret);
    assert.equal((await aasm("ci", "policy", "history")).code, 0);
    await json("local", "iam", "keys", "revoke", key.key.id);
    assert.match((await aasm("ci", "policy", "history")).err, /operator token is revoked/);
    assert.match((await aasm("local", "iam", "operators", "revoke", "local")).err, /last owner/);
    await json("local", "iam", "operators", "revoke", "alice");
    assert.match((await aasm("alice", "iam", "whoami")).err, /operator token is revoked/);
    const listed = await aasm("local", "iam", "keys", "list", "--all");
    assert.match(listed.out, /key_[0-9a-f]{16} {2}aa_live_\S{4} {2}ci .* revoked/);
    assert.ok(!listed.out.includes(rotated.secret));
  });
});

Deno.test("a policy is applied, compared, rolled back and bundled, and decides at once", async () => {
  await withGateway([], async ({ directory, aasm, json }) => {
    const bash = ["check", "--dry-run", "tool", "bash"];
    assert.equal((await aasm("local", ...bash)).code, 3);
    await Deno.writeTextFile(`${directory}/wide.yaml`, WIDE);
    const dry = await json(
      "local",
      "policy",
      "apply",
      `${directory}/wide.yaml`,
      "--as",
      "a.yaml",
      "--dry-run",
    );
    assert.equal(dry.outcome, "dry_run");
    assert.equal((await aasm("local", ...bash)).code, 3);
    const applied = await json(
      "local",
      "policy",
      "apply",
      `${directory}/wide.yaml`,
      "--as",
      "a.yaml",
      "--reason",
      "trial",
    );
    assert.equal(applied.outcome, "applied");
    assert.deepEqual(applied.changes, [
      { file: "a.yaml", path: "tools.bash.allow", before: "false", after: "true" },
    ]);
    assert.equal((await aasm("local", ...bash)).code, 0);
    assert.equal(await Deno.readTextFile(`${directory}/policies/a.yaml`), WIDE);
    const diff = await aasm("local", "policy", "diff", "1");
    assert.match(diff.out, /tools\.bash\.allow +false +true/);
    assert.match(diff.out, /\n-tools.*\n\+tools/);
    const bundle = `${directory}/policy.bundle`;
    assert.equal((await aasm("local", "policy", "bundle", "export", "--file", bundle)).code, 0);
    assert.equal((await aasm("local", "policy", "bundle", "verify", bundle)).code, 0);
    const back = await json("local", "policy", "rollback", "1", "--reason", "enough");
    assert.equal(back.version.version, 3);
    assert.equal((await aasm("local", ...bash)).code, 3);
    const verdict = await aasm("local", "policy", "bundle", "verify", bundle);
    assert.equal(verdict.code, 6);
    assert.match(verdict.out, /downgrade/);
    assert.equal((await aasm("local", "policy", "bundle", "import", bundle)).code, 1);
    const forced = await json("local", "policy", "bundle", "import", bundle, "--force");
    assert.equal(forced.version.bundle.forced, true);
    assert.equal((await aasm("local", "policy", "get", "1")).out, `# a.yaml\n${STRICT}`);
    const history = await aasm("local", "policy", "history");
    assert.match(history.out, /\* 4 .*forced bundle 2 +operator:local/);
  });
});

Deno.test("under four eyes nobody changes the policy alone, and files alone change nothing", async () => {
  await withGateway(["--four-eyes-policy"], async ({ directory, aasm, json }) => {
    const made = await json("local", "iam", "operators", "create", "bob", "--role", "admin");
    await Deno.writeTextFile(`${directory}/bob`, made.token);
    await Deno.writeTextFile(`${directory}/policies/a.yaml`, WIDE);
    const until_ms = Date.now() + 20_000;
    while (!(await aasm("local", "status")).out.includes("four-eyes-policy")) {
      assert.ok(Date.now() < until_ms, "the edit was not noticed");
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    assert.equal((await aasm("local", "check", "--dry-run", "tool", "bash")).code, 3);
    const proposed = await aasm("local", "policy", "apply", `${directory}/policies`);
    assert.equal(proposed.code, 4);
    const [{ id, digest }] = await json("bob", "policy", "proposals");
    assert.match((await aasm("local", "policy", "confirm", id)).err, /is your own/);
    assert.match((await aasm("bob", "policy", "diff", "--proposal", id)).out, /tools\.bash\.allow/);
    const done = await json("bob", "policy", "confirm", id, "--digest", digest);
    assert.equal(done.version.confirmed_by, "operator:bob");
    assert.equal((await aasm("local", "check", "--dry-run", "tool", "bash")).code, 0);
  });
});

Deno.test("M7: observing through `aasm` needs an end, and `disabled` is a word that is refused", async () => {
  await withGateway([], async ({ aasm }) => {
    const mode = ["agent", "enforcement-mode", "nobody"];
    const disabled = await aasm("local", ...mode, "disabled", "--reason", "x");
    assert.equal(disabled.code, 2);
    assert.match(disabled.err, /enforcement cannot be switched off/);
    assert.equal((await aasm("local", ...mode, "observe", "--reason", "x")).code, 2);
    const unknown = await aasm("local", ...mode, "observe", "--for", "1h", "--reason", "x");
    assert.match(unknown.err, /no agent `nobody`/);
  });
});
