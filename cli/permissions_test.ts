import assert from "node:assert/strict";
import fc from "fast-check";
import { cliPermissions } from "./permissions.ts";

const CWD = "/home/op";

function granted(...argv: string[]): string[] {
  return cliPermissions(argv, CWD);
}

const GATEWAY = "--allow-net=127.0.0.1:50051";
const TOKEN = "/home/op/.aasm/operator.token";

Deno.test("help, versions, completion and wrong usage are granted nothing", () => {
  for (
    const argv of [
      ["--help"],
      ["check", "--help"],
      ["-V"],
      ["completion", "bash"],
      [],
      ["nonsense"],
      ["status", "--gateway", "x"],
    ]
  ) assert.deepEqual(granted(...argv), [], argv.join(" "));
});

Deno.test("status reaches the gateway's address and reads the token, nothing else", () => {
  assert.deepEqual(granted("status"), [GATEWAY, `--allow-read=${TOKEN}`]);
  assert.deepEqual(granted("--gateway", "[::1]:7", "--token-file", "/t", "agent", "list"), [
    "--allow-net=[::1]:7",
    "--allow-read=/t",
  ]);
});

Deno.test("a Unix socket needs its own path and no address", () => {
  assert.deepEqual(granted("--gateway", "unix:run/g.sock", "status"), [
    "--allow-net=unix:/home/op/run/g.sock",
    `--allow-read=/home/op/run/g.sock,${TOKEN}`,
    "--allow-write=/home/op/run/g.sock",
  ]);
});

Deno.test("a real check reads no operator token; a dry run does", () => {
  assert.deepEqual(granted("check", "tool", "x"), [GATEWAY]);
  assert.deepEqual(granted("check", "--dry-run", "tool", "x"), [GATEWAY, `--allow-read=${TOKEN}`]);
  assert.deepEqual(granted("check", "--token", "@agent.token", "result", "t", "--file", "r"), [
    GATEWAY,
    "--allow-read=/home/op/r,/home/op/agent.token",
  ]);
});

Deno.test("an agent that rotates its token shows its own token, never the operator's", () => {
  assert.deepEqual(granted("agent", "rotate-token", "a", "--token", "@agent.token"), [
    GATEWAY,
    "--allow-read=/home/op/agent.token",
  ]);
  assert.deepEqual(granted("agent", "kill", "a", "--reason", "r"), [
    GATEWAY,
    `--allow-read=${TOKEN}`,
  ]);
});

Deno.test("local policy commands reach no network and write nothing", () => {
  assert.deepEqual(granted("policy", "validate", "a.yaml", "/b"), [
    "--allow-read=/home/op/a.yaml,/b",
  ]);
  assert.deepEqual(granted("policy", "explain", "p", "exec", "--", "ls"), [
    "--allow-read=/home/op/p",
  ]);
  assert.deepEqual(granted("policy", "test", "p/a.test.yaml", "q"), [
    "--allow-read=/home/op/p,/home/op/q",
  ]);
  assert.deepEqual(granted("policy", "schema"), []);
});

Deno.test("verification writes only the file of remembered keys, and not even that with --key", () => {
  assert.deepEqual(granted("audit", "verify", "log"), [
    "--allow-read=/home/op/log,/home/op/.aasm/known_logs",
    "--allow-write=/home/op/.aasm/known_logs",
  ]);
  assert.deepEqual(granted("audit", "verify", "log", "--key", "@k"), [
    "--allow-read=/home/op/log,/home/op/k",
  ]);
  assert.deepEqual(granted("audit", "verify", "--remote", "--key", "name+0+x"), [
    GATEWAY,
    `--allow-read=${TOKEN}`,
  ]);
});

Deno.test("an export writes its own file and no other", () => {
  assert.deepEqual(granted("audit", "export", "--format", "csv", "--output-file", "o.csv"), [
    GATEWAY,
    `--allow-read=${TOKEN}`,
    "--allow-write=/home/op/o.csv",
  ]);
  assert.deepEqual(granted("audit", "export", "--format", "csv"), [
    GATEWAY,
    `--allow-read=${TOKEN}`,
  ]);
});

Deno.test("a compliance export asks the gateway, or reads a directory and no network", () => {
  const words = ["audit", "compliance-export", "--framework", "soc2", "-o", "o.csv", "--key", "k"];
  assert.deepEqual(granted(...words), [
    GATEWAY,
    `--allow-read=${TOKEN}`,
    "--allow-write=/home/op/o.csv",
  ]);
  assert.deepEqual(granted(...words, "--input", "log"), [
    "--allow-read=/home/op/log",
    "--allow-write=/home/op/o.csv",
  ]);
});

Deno.test("a policy change reads the files it is given, and an exported bundle writes its own", () => {
  const granted = (...argv: string[]) => cliPermissions(argv, "/home/op");
  assert.deepEqual(granted("policy", "apply", "p.yaml", "d"), [
    "--allow-net=127.0.0.1:50051",
    `--allow-read=/home/op/p.yaml,/home/op/d,${TOKEN}`,
  ]);
  assert.deepEqual(granted("policy", "bundle", "import", "b"), [
    "--allow-net=127.0.0.1:50051",
    `--allow-read=/home/op/b,${TOKEN}`,
  ]);
  assert.deepEqual(granted("policy", "bundle", "export", "--file", "b"), [
    "--allow-net=127.0.0.1:50051",
    `--allow-read=${TOKEN}`,
    "--allow-write=/home/op/b",
  ]);
});

Deno.test("TLS files are read, each by name", () => {
  const flags = ["--tls-ca", "ca", "--tls-cert", "c", "--tls-key", "k"];
  assert.deepEqual(granted(...flags, "status"), [
    GATEWAY,
    `--allow-read=/home/op/ca,/home/op/c,/home/op/k,${TOKEN}`,
  ]);
});

Deno.test("a working directory with a comma cannot be granted and says so", () => {
  assert.throws(() => cliPermissions(["status"], "/a,b"), /cannot quote a comma/);
});

Deno.test("whatever the command line, no flag is bare, unknown or of another kind", () => {
  const word = fc.oneof(
    fc.constantFrom(
      "status",
      "check",
      "audit",
      "policy",
      "verify",
      "validate",
      "export",
      "tool",
      "--format",
      "csv",
      "--remote",
      "--output-file",
      "--key",
      "--",
      "/",
      ".",
    ),
    fc.string({ maxLength: 8 }),
  );
  fc.assert(
    fc.property(fc.array(word, { maxLength: 7 }), (argv) => {
      for (const flag of cliPermissions(argv, CWD)) {
        assert.match(flag, /^--allow-(net|read|write)=[^,]+(,[^,]+)*$/);
      }
    }),
    { numRuns: 1_000 },
  );
});
