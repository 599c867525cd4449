import assert from "node:assert/strict";
import { parseArguments } from "./config.ts";
import { gatewayPermissions, transportWorkerPermissions } from "./permissions.ts";

function permissionsFor(...argv: string[]): string[] {
  const parsed = parseArguments(argv);
  assert.equal(parsed.action, "run");
  return parsed.action === "run" ? gatewayPermissions(parsed.config, "/srv") : [];
}

Deno.test("the grant names the listen address, the policy, the state, and nothing else", () => {
  const permissions = permissionsFor("--policy", "p.yaml", "--state-dir", "/var/lib/aasm");
  assert.equal(permissions.length, 3);
  assert.equal(permissions[0], "--allow-net=127.0.0.1:50051");
  assert.match(
    permissions[1] ?? "",
    /^--allow-read=\/var\/lib\/aasm,\/var\/lib\/aasm\/audit,\S*\/storage\/sqlite,\S*\/gateway\/audit,\S*\/core,\/srv\/p\.yaml$/,
  );
  assert.equal(permissions[2], "--allow-write=/var/lib/aasm,/var/lib/aasm/audit");
});

Deno.test("a socket needs its own path for net, read and write, and TLS adds its files for reading only", () => {
  const permissions = permissionsFor(
    ...[
      "--socket",
      "run/a.sock",
      "--listen",
      "[::1]:1",
      "--tls-cert",
      "c.pem",
      "--tls-key",
      "k.pem",
    ],
  );
  assert.equal(permissions[0], "--allow-net=[::1]:1,unix:/srv/run/a.sock");
  assert.match(permissions[1] ?? "", /\/srv\/c\.pem,\/srv\/k\.pem/);
  assert.match(permissions[2] ?? "", /\/srv\/run\/a\.sock$/);
  assert.doesNotMatch(permissions[2] ?? "", /pem/);
});

Deno.test("a web listener adds its address and nothing else", () => {
  const plain = permissionsFor("--policy", "p.yaml");
  const web = permissionsFor("--policy", "p.yaml", "--web-listen", "[::1]:7391");
  assert.equal(web[0], "--allow-net=127.0.0.1:50051,[::1]:7391");
  assert.deepEqual(web.slice(1), plain.slice(1));
});

Deno.test("transport workers add the reading of their own source, and no address or path", () => {
  const plain = permissionsFor("--policy", "p.yaml", "--listen", "[::1]:7");
  const workers = permissionsFor(
    "--policy",
    "p.yaml",
    "--listen",
    "[::1]:7",
    "--transport-workers",
    "1",
  );
  assert.equal(workers[0], plain[0]);
  assert.equal(workers[2], plain[2]);
  const read = new Set((workers[1] ?? "").split(","));
  for (const path of (plain[1] ?? "").split(",")) read.delete(path);
  assert.deepEqual([...read].map((path) => path.replace(/^.*\/(?=gateway|grpc)/, "")), [
    "gateway/transport",
    "grpc",
  ]);
});

Deno.test("a transport worker is granted its listen address and nothing else", () => {
  assert.deepEqual(transportWorkerPermissions("127.0.0.1:50051"), {
    net: ["127.0.0.1:50051"],
    read: false,
    write: false,
    env: false,
    run: false,
    sys: false,
    ffi: false,
    import: false,
  });
});

Deno.test("a comma in a path cannot smuggle a second path into the grant", () => {
  for (const flag of ["--state-dir", "--audit-dir", "--policy", "--socket"]) {
    const parsed = parseArguments([flag, "/a,/etc"]);
    assert.equal(parsed.action, "refuse", flag);
  }
});

Deno.test("no permission is ever bare", () => {
  for (const flag of permissionsFor("--policy", "none", "--socket", "/s")) {
    assert.match(flag, /^--allow-(net|read|write)=\S+$/);
  }
});

Deno.test("a policy is written only with --policy-writable, and then nothing beside it", () => {
  const plain = permissionsFor("--policy", "p.yaml");
  assert.doesNotMatch(plain[2] ?? "", /p\.yaml/);
  const writable = permissionsFor("--policy", "p.yaml", "--policy-writable");
  assert.match(writable[2] ?? "", /,\/srv\/p\.yaml,\/srv\/p\.yaml\.aasm-new$/);
  const signers = permissionsFor("--policy", "history", "--policy-signers", "keys");
  assert.match(signers[1] ?? "", /,\/srv\/keys$/);
  assert.doesNotMatch(signers[2] ?? "", /keys/);
});

Deno.test("a webhook adds its host and port, and the reading of its secret; never its path", () => {
  const plain = permissionsFor("--listen", "127.0.0.1:7");
  const hooked = permissionsFor(
    ...["--listen", "127.0.0.1:7", "--webhook", "https://hooks.example/SECRET"],
    ...["--webhook-secret-file", "s", "--slack-webhook", "https://slack.example:8443/T0/SECRET"],
  );
  assert.equal(
    hooked[0],
    "--allow-net=hooks.example:443,slack.example:8443,127.0.0.1:7",
    plain[0],
  );
  assert.ok(hooked[1]?.includes(",/srv/s,"));
  assert.equal(hooked[2], plain[2]);
});

Deno.test("the secrets key adds one file to read, one variable, or one program to run", () => {
  const plain = permissionsFor("--policy", "none");
  const file = permissionsFor("--policy", "none", "--secrets-key-file", "k");
  assert.equal(file[1], `${plain[1]},/srv/k`);
  assert.equal(file.length, plain.length);
  const env = permissionsFor("--policy", "none", "--secrets-key-env", "THE_KEY");
  assert.deepEqual(env, [...plain, "--allow-env=THE_KEY"]);
  const program = permissionsFor("--policy", "none", "--secrets-key-command", "/usr/bin/key");
  assert.deepEqual(program, [...plain, "--allow-run=/usr/bin/key"]);
});

Deno.test("a secrets key comes from one place, and no flag smuggles more into the grant", () => {
  for (
    const flags of [
      ["--secrets-key-file", "k", "--secrets-key-env", "K"],
      ["--secrets-key-env", "PATH,HOME"],
      ["--secrets-key-env", "LD_PRELOAD"],
      ["--secrets-key-env", "DENO_DIR"],
      ["--secrets-key-env", "lower"],
      ["--secrets-key-command", "/bin/a,/bin/b"],
      ["--secrets-key-command", "relative"],
      ["--secrets-key-file", "a,b"],
    ]
  ) assert.equal(parseArguments(flags).action, "refuse", flags.join(" "));
});
