import assert from "node:assert/strict";
import { parseArguments, type RuntimeConfig } from "./config.ts";
import { RUNTIME_VARIABLES, withEnvironment } from "./environment.ts";
import { runtimePermissions } from "./permissions.ts";

function configOf(...argv: string[]): RuntimeConfig {
  const parsed = parseArguments(["--agent-id", "a1", ...argv]);
  assert.equal(parsed.action, "run", parsed.action === "refuse" ? parsed.message : "");
  if (parsed.action !== "run") throw new Error("unreachable");
  return parsed.config;
}

function refusalOf(...argv: string[]): string {
  const parsed = parseArguments(argv);
  assert.equal(parsed.action, "refuse", argv.join(" "));
  return parsed.action === "refuse" ? parsed.message : "";
}

function fromVariables(variables: Record<string, string>): RuntimeConfig {
  return configOf(
    ...withEnvironment([], (name) => variables[name]).filter((word) => !/^--agent-id/.test(word)),
  );
}

Deno.test("with an agent's id alone the defaults are the contract's, and the metrics are loopback", () => {
  const config = configOf();
  assert.equal(config.ipc.socket, "/tmp/aa-runtime-a1.sock");
  assert.equal(config.ipc.connections_max, 64);
  assert.equal(config.ipc.handshake, "public_id");
  assert.equal(config.ipc.peer_credentials, true);
  assert.deepEqual(config.pipeline, {
    input_buffer: 10_000,
    batch_size: 100,
    flush_interval_ms: 100,
    broadcast_capacity: 1_024,
    field_bytes_max: 65_536,
    correlation_window_ms: 5_000,
    correlation_interval_ms: 1_000,
  });
  assert.deepEqual(config.local_policy, { path: "/etc/aa/policy.toml", defaulted: true });
  assert.equal(config.gateway, undefined);
  assert.equal(config.shutdown_timeout_ms, 30_000);
  assert.equal(config.layers.ebpf_socket, "/run/aa-ebpf-loaderd.sock");
});

Deno.test("trap R10: health and metrics are on loopback unless an operator says otherwise", () => {
  assert.deepEqual(configOf().health, { hostname: "127.0.0.1", port: 8080 });
  assert.equal(fromVariables({ AA_METRICS_ADDR: "0.0.0.0:9000" }).health.hostname, "0.0.0.0");
});

Deno.test("an agent id that could leave its directory names no runtime", () => {
  for (const id of ["", "  ", "a/b", "..", "a..b", "a,b", "a\nb", "x".repeat(257)]) {
    assert.equal(parseArguments([`--agent-id=${id}`]).action, "refuse", JSON.stringify(id));
  }
  assert.match(refusalOf(), /no agent is named/);
});

Deno.test("every variable of the reference becomes its flag", () => {
  const config = fromVariables({
    AA_AGENT_TEAM_ID: "t",
    AA_AGENT_ORG_ID: "o",
    AA_RUNTIME_SHUTDOWN_TIMEOUT_SECS: "5",
    AA_IPC_MAX_CONNECTIONS: "7",
    AA_PIPELINE_INPUT_BUFFER: "11",
    AA_PIPELINE_BATCH_SIZE: "12",
    AA_PIPELINE_FLUSH_INTERVAL_MS: "13",
    AA_PIPELINE_BROADCAST_CAPACITY: "14",
    AA_ENFORCEMENT_MAX_FIELD_BYTES: "15",
    AA_CORRELATION_WINDOW_MS: "16",
    AA_CORRELATION_INTERVAL_MS: "17",
    AA_POLICY_PATH: "/p.toml",
    AA_GATEWAY_ENDPOINT: "http://127.0.0.1:50051",
    AA_GATEWAY_TIMEOUT_MS: "18",
    AA_NATS_CONFIG_PATH: "/n.toml",
    AA_AUDIT_BUFFER_PATH: "/var/lib/aa/spool.db",
    AA_RUNTIME_SOCKET: "/run/aa/a.sock",
    AA_LAYERS: "sdk",
    AA_EBPF_LOADERD_SOCK: "/run/e.sock",
    RUST_LOG: "DEBUG",
    PATH: "/usr/bin:/bin/:relative:/with,comma",
  });
  assert.deepEqual([config.team_id, config.org_id], ["t", "o"]);
  assert.equal(config.shutdown_timeout_ms, 5_000);
  assert.equal(config.ipc.connections_max, 7);
  assert.deepEqual(Object.values(config.pipeline), [11, 12, 13, 14, 15, 16, 17]);
  assert.deepEqual(config.local_policy, { path: "/p.toml", defaulted: false });
  assert.equal(config.gateway?.address.target, "127.0.0.1:50051");
  assert.deepEqual([config.gateway?.timeout_ms, config.gateway?.fail_open], [18, false]);
  assert.equal(config.nats?.config_file, "/n.toml");
  assert.equal(config.spool, "/var/lib/aa/spool.db");
  assert.equal(config.ipc.socket, "/run/aa/a.sock");
  assert.deepEqual(config.layers.proxy_candidates, ["/usr/bin/aa-proxy", "/bin/aa-proxy"]);
  assert.equal(config.layers.override, "sdk");
  assert.equal(config.log_level, "debug");
  assert.deepEqual(config.warnings, []);
});

Deno.test("a variable that is zero or no number falls back to the default, and says so", () => {
  for (const value of ["0", "many", "-1", "1.5", "9999999999"]) {
    const config = fromVariables({ AA_IPC_MAX_CONNECTIONS: value });
    assert.equal(config.ipc.connections_max, 64, value);
    assert.match(config.warnings[0] ?? "", /^AA_IPC_MAX_CONNECTIONS is not a whole number/);
  }
});

Deno.test("a flag of ours that makes no sense is refused, not replaced", () => {
  for (const value of ["0", "many", "-1", "1.5", "5000"]) {
    assert.match(
      refusalOf("--agent-id=a1", `--max-connections=${value}`),
      /expected 1 to 1024/,
    );
  }
});

Deno.test("a flag wins over its variable", () => {
  const words = withEnvironment(
    ["--agent-id=a1", "--max-connections=9", "--no-local-policy"],
    (name) => ({ AA_IPC_MAX_CONNECTIONS: "7", AA_POLICY_PATH: "/p" })[name],
  );
  const parsed = parseArguments(words);
  assert.ok(parsed.action === "run" && parsed.config.ipc.connections_max === 9);
  assert.ok(parsed.action === "run" && parsed.config.local_policy === undefined);
});

Deno.test("only the four words of the reference open the gateway's posture; a typing error does not", () => {
  const posture = (value: string) =>
    fromVariables({ AA_GATEWAY_ENDPOINT: "http://localhost:1", AA_GATEWAY_FAIL_CLOSED: value })
      .gateway?.fail_open;
  for (const word of ["false", "0", "no", "off", "FALSE", " off "]) {
    assert.equal(posture(word), true);
  }
  for (const word of ["", "true", "1", "flase", "disabled"]) {
    assert.equal(posture(word), false, word);
  }
});

Deno.test("an empty AA_POLICY_PATH disables local rules; an absent one names the default file", () => {
  assert.equal(fromVariables({ AA_POLICY_PATH: "" }).local_policy, undefined);
  assert.equal(fromVariables({}).local_policy?.defaulted, true);
});

Deno.test("variables of parts that are not here say that they have no effect", () => {
  assert.deepEqual(
    fromVariables({ AA_DEVINT_ENABLED: "off", AA_RUNTIME_WORKER_THREADS: "0" }).warnings,
    [],
  );
  const { warnings } = fromVariables({ AA_DEVINT_ENABLED: "1", AA_EBPF_POLICY_PATH: "/x" });
  assert.equal(warnings.length, 2);
  assert.match(warnings[0] ?? "", /AA_DEVINT_ENABLED has no effect/);
});

Deno.test("installed keys and the mode that takes them belong together", () => {
  const key = "d327c61cc7d0e729494bcb1fb449722396c2797086921c891cf92520fd2a5a38";
  assert.match(refusalOf("--agent-id=a", "--handshake=installed"), /takes no client without/);
  assert.match(refusalOf("--agent-id=a", `--trust-agent-key=${key}`), /are not looked at/);
  const { ipc } = configOf("--handshake", "either", "--trust-agent-key", key);
  assert.deepEqual(ipc.trusted_keys, [key]);
});

Deno.test("credentials do not cross a network in clear unless that is permitted by name", () => {
  assert.match(refusalOf("--agent-id=a", "--gateway=http://gateway.example:50051"), /in clear/);
  const remote = configOf("--gateway=http://gateway.example:50051", "--allow-remote-plaintext");
  assert.equal(remote.gateway?.address.target, "gateway.example:50051");
  assert.equal(configOf("--gateway=https://gateway.example").gateway?.address.tls, true);
  assert.equal(configOf("--gateway=https://g.example").gateway?.address.target, "g.example:443");
  assert.deepEqual(configOf("--gateway=unix:/run/g.sock").gateway?.address, {
    target: "unix:/run/g.sock",
    tls: false,
    grant: { kind: "unix", value: "/run/g.sock" },
  });
  assert.equal(configOf("--gateway=[::1]:50051").gateway?.address.target, "[::1]:50051");
  for (
    const bad of ["ftp://x", "http://user:secret@x", "http://x/path", "unix:relative", "unix:/a,b"]
  ) {
    const message = refusalOf("--agent-id=a", `--gateway=${bad}`);
    assert.doesNotMatch(message, /secret/);
  }
});

Deno.test("a directory that is granted as a whole is never everybody's, nor the current one", () => {
  for (const flag of ["--spool", "--broker-socket"]) {
    for (const path of ["/tmp/x.db", "x.db", "./x.db", "/x.db", "/dev/shm//x", "../x.db"]) {
      assert.match(refusalOf("--agent-id=a", `${flag}=${path}`), /directory of its own/, path);
    }
  }
  assert.equal(configOf("--spool=/var/lib/aa/x.db").spool, "/var/lib/aa/x.db");
});

const LINUX = { os: "linux", arch: "x86_64" } as const;

function grantsOf(...argv: string[]): Record<string, string[]> {
  return Object.fromEntries(
    runtimePermissions(configOf(...argv), "/srv", LINUX).map((flag) => {
      const [name = "", list = ""] = flag.split("=");
      return [name, list.split(",")];
    }),
  );
}

Deno.test("the grant names the sockets, the health address, the state, and nothing else", () => {
  const grants = grantsOf("--socket=run/a.sock", "--no-local-policy");
  assert.deepEqual(grants["--allow-net"], [
    "unix:/srv/run/a.sock",
    "unix:/srv/run/a.sock.new/s",
    "127.0.0.1:8080",
  ]);
  assert.deepEqual(grants["--allow-write"], [
    "/srv/run/a.sock",
    "/srv/run/a.sock.new",
    "/srv/.aasm/runtime-a1",
  ]);
  assert.deepEqual(grants["--allow-sys"], ["osRelease"]);
  for (const path of grants["--allow-ffi"] ?? []) {
    assert.match(path, /\/(libc\.so\.6|ld-musl-\S+)$/);
  }
  assert.deepEqual(Object.keys(grants).sort(), [
    ...["--allow-ffi", "--allow-net", "--allow-read", "--allow-sys", "--allow-write"],
  ]);
});

Deno.test("what is read is never written, and tokens, rules and keys are single files", () => {
  const grants = grantsOf(
    ...["--gateway=https://g.example:1", "--gateway-ca=ca.pem", "--gateway-token-file=t"],
    ...["--metrics-token-file=m", "--local-policy=p.toml", "--nats-config=n.toml"],
    ...["--nats-ca=nca", "--nats-cert=ncert", "--nats-key=nkey"],
    ...["--handshake=installed", "--trust-agent-keys-file=k", "--proxy-candidate=/bin/aa-proxy"],
  );
  for (const file of ["ca.pem", "t", "m", "p.toml", "n.toml", "k", "nca", "ncert", "nkey"]) {
    assert.ok(grants["--allow-read"]?.includes(`/srv/${file}`), file);
    assert.ok(!grants["--allow-write"]?.includes(`/srv/${file}`), file);
  }
  assert.ok(grants["--allow-read"]?.includes("/bin/aa-proxy"));
  assert.ok(grants["--allow-net"]?.includes("g.example:1"));
  assert.ok(grants["--allow-net"]?.includes("127.0.0.1:4222"));
});

Deno.test("without the kernel's check nothing is loaded, and the process may read its own user id", () => {
  const grants = grantsOf("--no-peer-credentials");
  assert.equal(grants["--allow-ffi"], undefined);
  assert.deepEqual(grants["--allow-sys"], ["osRelease", "uid"]);
  assert.deepEqual(grantsOf("--libc=/opt/libc.so.6")["--allow-ffi"], ["/opt/libc.so.6"]);
});

Deno.test("no grant is ever bare, and no path can smuggle in a second one", () => {
  for (const flag of runtimePermissions(configOf("--broker-socket=b/s"), "/srv", LINUX)) {
    assert.match(flag, /^--allow-(net|read|write|sys|ffi)=\S+$/);
  }
  for (const flag of ["--socket", "--state-dir", "--libc", "--proxy-candidate", "--local-policy"]) {
    assert.equal(parseArguments(["--agent-id=a", `${flag}=/a,/etc`]).action, "refuse", flag);
  }
  assert.throws(() => runtimePermissions(configOf(), "/a,b", LINUX), /cannot quote a comma/);
});

Deno.test("help wins over version, unknown words are named, and every variable has a reader", () => {
  assert.equal(parseArguments(["--version", "--help"]).action, "help");
  assert.equal(parseArguments(["-V"]).action, "version");
  assert.match(refusalOf("--agent-id=a", "--nonsense"), /unknown flag `--nonsense`/);
  assert.match(refusalOf("run"), /unexpected argument `run`/);
  assert.match(refusalOf("--agent-id=a", "--agent-id=b"), /given twice/);
  assert.ok(RUNTIME_VARIABLES.includes("AA_AGENT_ID"));
});
