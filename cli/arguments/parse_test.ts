import assert from "node:assert/strict";
import fc from "fast-check";
import { parseArguments } from "./parse.ts";

/** Every command, with one valid use of it. */
const USES: readonly (readonly string[])[] = [
  ["status"],
  ["check", "tool", "search"],
  ["check", "file", "read", "/x"],
  ["check", "net", "example.com"],
  ["check", "exec", "--", "ls", "-la"],
  ["check", "llm", "gpt-4o"],
  ["check", "result", "search", "--text", "x"],
  ["policy", "validate", "a.yaml"],
  ["policy", "explain", "a.yaml", "tool", "search"],
  ["policy", "test", "a.test.yaml"],
  ["policy", "schema"],
  ["agent", "list"],
  ["agent", "inspect", "a"],
  ["agent", "suspend", "a", "--reason", "r"],
  ["agent", "resume", "a", "--reason", "r"],
  ["agent", "kill", "a", "--reason", "r"],
  ["agent", "deregister", "a", "--reason", "r"],
  ["agent", "revoke-token", "a", "--reason", "r"],
  ["agent", "rotate-token", "a", "--token", "t"],
  ["agent", "set-level", "a", "2", "--reason", "r"],
  ["agent", "set-tier", "a", "low", "--reason", "r"],
  ["agent", "reparent", "a", "--reason", "r"],
  ["agent", "enrol", "create", "--org", "o"],
  ["agent", "enrol", "list"],
  ["agent", "enrol", "revoke", "id", "--reason", "r"],
  ["topology", "tree"],
  ["topology", "lineage", "a"],
  ["topology", "team", "t"],
  ["topology", "edges"],
  ["topology", "cycles"],
  ["ops", "list"],
  ["ops", "pause", "agent:a", "--reason", "r"],
  ["ops", "resume", "agent:a", "--reason", "r"],
  ["ops", "terminate", "t:s", "--reason", "r"],
  ["ops", "halt-all", "--reason", "r"],
  ["ops", "lift", "--reason", "r"],
  ["secrets", "set", "A"],
  ["secrets", "list"],
  ["secrets", "delete", "A"],
  ["secrets", "rotate-key"],
  ["secrets", "scan", "f"],
  ["audit", "list"],
  ["audit", "tail"],
  ["audit", "verify"],
  ["audit", "verify-chain", "a.jsonl"],
  ["audit", "prove", "3"],
  ["audit", "checkpoint"],
  ["audit", "export", "--format", "csv"],
  ["audit", "compliance-export", "--framework", "soc2"],
  ["agent", "enforcement-mode", "a", "enforce", "--reason", "r"],
  ["iam", "whoami"],
  ["iam", "roles"],
  ["iam", "operators", "list"],
  ["iam", "operators", "create", "a", "--role", "viewer"],
  ["iam", "operators", "revoke", "a"],
  ["iam", "rotate-token"],
  ["iam", "keys", "list"],
  ["iam", "keys", "create", "a", "--scope", "admin"],
  ["iam", "keys", "rotate", "a"],
  ["iam", "keys", "revoke", "a"],
  ["policy", "history"],
  ["policy", "get"],
  ["policy", "diff"],
  ["policy", "apply", "a.yaml"],
  ["policy", "rollback", "3"],
  ["policy", "proposals"],
  ["policy", "confirm", "a"],
  ["policy", "reject", "a", "--reason", "r"],
  ["policy", "bundle", "export"],
  ["policy", "bundle", "verify", "a"],
  ["policy", "bundle", "import", "a"],
  ["version"],
];

function invocation(argv: readonly string[]) {
  const parsed = parseArguments(argv);
  assert(parsed.kind === "run", Deno.inspect(parsed));
  return parsed.invocation;
}

function refusal(...argv: string[]): string {
  const parsed = parseArguments(argv);
  assert(parsed.kind === "refuse", `${argv.join(" ")} -> ${Deno.inspect(parsed)}`);
  return parsed.message;
}

/** Words of a shell line with single quotes. */
function shellWords(line: string): string[] {
  return [...line.matchAll(/'([^']*)'|(\S+)/g)].map((match) => match[1] ?? match[2] ?? "");
}

for (const use of USES) {
  const words = use.slice(0, use[0] === "check" || use[1] === "explain" ? 2 : use.length);
  const command = invocation(use).run.command;
  Deno.test(`${use.slice(0, 2).join(" ")}: help shows an example that this program accepts`, () => {
    const path = use[0] === "check" ? words : command.split(" ");
    const help = parseArguments([...path, "--help"]);
    assert(help.kind === "print");
    const example = /^Example: aasm (.*)$/m.exec(help.text)?.[1];
    assert(example !== undefined, help.text);
    const parsed = parseArguments(shellWords(example.replace(/ > .*$/, "")));
    assert(parsed.kind === "run", `${example} -> ${Deno.inspect(parsed)}`);
    assert.equal(parsed.invocation.run.command, command);
  });
}

Deno.test("the top help names every group, every exit code and a working example", () => {
  const help = parseArguments(["--help"]);
  assert(help.kind === "print");
  for (
    const word of [
      "status",
      "check",
      "policy",
      "agent",
      "topology",
      "audit",
      "iam",
      "version",
      "completion",
    ]
  ) {
    assert.match(help.text, new RegExp(`^ +${word} `, "m"));
  }
  assert.match(
    help.text,
    /0 ok, 1 failure, 2 wrong usage, 3 denied, 4 approval pending, 5 gateway unreachable, 6 verification failed/,
  );
  const example = /Example: `aasm ([^`]*)`/.exec(help.text)?.[1] ?? "";
  assert.equal(parseArguments(shellWords(example)).kind, "run");
});

Deno.test("global flags are understood before and after the command, with = or a blank", () => {
  const ways = [
    ["--output", "json", "--gateway", "[::1]:9", "status"],
    ["status", "--output=json", "--gateway=[::1]:9"],
    ["--output=json", "status", "--gateway", "[::1]:9"],
  ].map(invocation);
  for (const way of ways) {
    assert.equal(way.output, "json");
    assert.deepEqual(way.gateway, { kind: "tcp", host: "::1", port: 9, text: "[::1]:9" });
  }
  assert.deepEqual(invocation(["--gateway", "unix:run/a b.sock", "status"]).gateway, {
    kind: "unix",
    path: "run/a b.sock",
    text: "unix:run/a b.sock",
  });
});

Deno.test("without flags it asks the local gateway, with the token the gateway wrote", () => {
  const { gateway, token_file, output, timeout_seconds } = invocation(["status"]);
  assert.equal(gateway.text, "127.0.0.1:50051");
  assert.equal(token_file, ".aasm/operator.token");
  assert.equal(output, "table");
  assert.equal(timeout_seconds, 10);
});

Deno.test("everything after -- is the program's own, flags included", () => {
  const { run, output } = invocation([
    "check",
    "exec",
    "--agent",
    "a",
    "--",
    "ls",
    "--output",
    "json",
    "--",
    "-x",
  ]);
  assert(run.command === "check" && run.action.kind === "exec");
  assert.deepEqual(run.action.argv, ["ls", "--output", "json", "--", "-x"]);
  assert.equal(run.agent, "a");
  assert.equal(output, "table");
});

Deno.test("a usage error names the flag, what was expected and what was received, in backticks", () => {
  assert.equal(
    refusal("--gateway", "nope", "status"),
    "--gateway: expected HOST:PORT or unix:/path, received `nope`",
  );
  assert.equal(
    refusal("check", "file", "red", "/x"),
    "MODE: expected one of read, write, create, append, delete, received `red`",
  );
  assert.equal(
    refusal("--timeout", "0", "status"),
    "--timeout: expected a whole number from 1 to 3600, received `0`",
  );
  assert.equal(
    refusal("check", "tool", "x", "--args", "{"),
    '--args: expected JSON such as `{"path": "/tmp"}`, received `{`',
  );
  assert.match(
    refusal("audit", "list", "--since", "yesterday"),
    /^--since: expected a date such as/,
  );
  assert.match(refusal("audit", "list", "--since", "2026-01-31T09:00"), /a time with its zone/);
  assert.equal(refusal("agent", "suspend", "x"), "missing option --reason");
  assert.match(refusal("agent", "suspend", "x", "--reason", " "), /not blank/);
  assert.equal(
    refusal("stauts"),
    "unexpected option or argument: `stauts`; did you mean status?",
  );
  assert.equal(refusal(), "a command is missing");
  assert.equal(refusal("audit"), "a command is missing");
  assert.match(refusal("check", "result", "t"), /give the answer with --text TEXT or --file FILE/);
  assert.match(refusal("audit", "prove", "18446744073709551616"), /index of an entry/);
  assert.match(refusal("version", "x"), /unexpected option or argument: `x`/);
});

Deno.test("half a client certificate is a usage error, and so is one without an authority", () => {
  assert.match(refusal("status", "--tls-key", "k"), /belong together/);
  assert.match(refusal("status", "--tls-key", "k", "--tls-cert", "c"), /needs --tls-ca/);
});

Deno.test("a path that a permission list cannot quote is refused at once", () => {
  assert.match(refusal("policy", "validate", "a,b.yaml"), /path without comma/);
  assert.match(refusal("--gateway", "unix:/a,b", "status"), /without comma/);
  assert.match(refusal("--token-file", "a,b", "status"), /without comma/);
});

Deno.test("an error repeats at most a little of a hostile argument, without control characters", () => {
  const message = refusal(`\u001b[2J${"x".repeat(5_000)}`);
  assert(message.length < 200);
  // deno-lint-ignore no-control-regex
  assert.doesNotMatch(message, /[\u0000-\u001f]/);
});

for (const shell of ["bash", "zsh", "fish", "powershell", "nu"]) {
  Deno.test(`completion ${shell}: prints a script that calls back for aasm`, () => {
    const parsed = parseArguments(["completion", shell]);
    assert(parsed.kind === "print");
    assert.match(parsed.text, /aasm/);
    assert.match(parsed.text, /completion/);
  });
}

Deno.test("completion offers commands, flags and words by prefix", () => {
  const offered = (...words: string[]) => {
    const parsed = parseArguments(["completion", "bash", ...words]);
    assert(parsed.kind === "print");
    return parsed.text.split("\n").filter((line) => line !== "");
  };
  assert(offered("che").includes("check"));
  assert.deepEqual(offered("check", "file", "re"), ["read"]);
  assert(offered("audit", "verify", "--re").includes("--remote"));
  assert(offered("--output", "j").includes("json"));
});

Deno.test("no command line crashes the parser", () => {
  const word = fc.oneof(
    fc.constantFrom(...USES.flat(), "--output", "--agent", "--", "--help", "-V", "json", ""),
    fc.string({ unit: "binary", maxLength: 12 }),
  );
  fc.assert(
    fc.property(fc.array(word, { maxLength: 8 }), (argv) => {
      const parsed = parseArguments(argv);
      assert(["run", "print", "refuse"].includes(parsed.kind));
    }),
    { numRuns: 1_000 },
  );
});
