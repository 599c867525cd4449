/**
 * Text of the runtime's `--help`.
 *
 * @module
 */

/** Printed on `--help`, exit 0. */
export const HELP =
  `runtime — the chokepoint beside one agent: it decides, redacts, keeps and forwards

usage: deno task runtime --agent-id ID [flags]

  --agent-id ID              names the socket and the handshake key; no \`/\`, \`..\` or comma (AA_AGENT_ID)
  --team-id ID, --org-id ID  attribution (AA_AGENT_TEAM_ID, AA_AGENT_ORG_ID)

  --socket PATH              Unix socket for clients, mode 0600 (default /tmp/aa-runtime-ID.sock; better a
                             directory of mode 0700: in /tmp others can take the name first)
  --max-connections N        clients at a time, 1 to 1024 (default 64; AA_IPC_MAX_CONNECTIONS)
  --handshake public_id|installed|either
                             keys that clients may prove: the reference's, which anyone can make from
                             the agent's id (default), installed ones, or either
  --trust-agent-key KEY      an installed public key, 64 hex digits or did:key; may be repeated
  --trust-agent-keys-file FILE
                             installed public keys, one a line
  --no-peer-credentials      do not ask the kernel who a client is: its file mode alone protects the socket
  --libc PATH                the C library, when it lies in none of the usual places
  --broker-socket PATH       serve Deno's permission broker here

  --gateway URL              http://HOST:PORT, https://HOST:PORT or unix:/path (AA_GATEWAY_ENDPOINT)
  --gateway-ca FILE          authority of the gateway's certificate, PEM
  --gateway-token-file FILE  the agent's credential token; else it is learnt from its first query
  --gateway-timeout-ms N     deadline of a question (default 5000; AA_GATEWAY_TIMEOUT_MS)
  --gateway-fail-open        answer from local rules while the gateway is away; by default all is denied
  --allow-remote-plaintext   permit http:// to another machine
  --local-policy FILE        local rules, TOML (default /etc/aa/policy.toml; AA_POLICY_PATH)
  --orders FILE              an operator's orders at this runtime: \`pause *\`, \`terminate agent:ID\`, one a
                             line, in force within half a second; best owned by another user
  --no-local-policy          none; without a gateway every query is then denied

  --state-dir DIR            what the runtime keeps, mode 0700 (default .aasm/runtime-ID)
  --spool FILE               the durable record (default STATE_DIR/spool.db; AA_AUDIT_BUFFER_PATH)
  --pipeline-input-buffer N, --pipeline-batch-size N, --pipeline-flush-interval-ms N,
  --pipeline-broadcast-capacity N
                             events waiting (10000), in a batch (100), flushed after (100), kept for a
                             slow subscriber (1024)
  --field-bytes-max N        longest field that is scanned, longer ones are redacted whole (default 65536)
  --correlation-window-ms N, --correlation-interval-ms N
                             intents and actions are matched within (5000), every (1000)
  --nats-config FILE         publish audit entries as the file says; --nats-server HOST:PORT is where
                             (default 127.0.0.1:4222); --nats-ca, --nats-cert, --nats-key FILE are those
                             that its table tls names

  --metrics-listen HOST:PORT /health, /ready, /metrics (default 127.0.0.1:8080; AA_METRICS_ADDR)
  --metrics-token-file FILE  readers must show this token: \`authorization: Bearer …\`
  --layers LIST              protection layers, instead of detecting them: ebpf,proxy,sdk (AA_LAYERS)
  --ebpf-socket PATH         the eBPF loader's socket (default /run/aa-ebpf-loaderd.sock)
  --reprobe-ms N             time between looks at the layers (default 30000)

  --shutdown-timeout-secs N  time for what is in flight at stop (default 30)
  --allow-privileged         start though CAP_SYS_ADMIN, CAP_PERFMON or CAP_BPF is effective
  --log-level debug|info|warn|error
                             least level of the JSON lines on standard error (default info)
  --version, --help

example: deno task runtime --agent-id coder-1 --socket ~/.aasm/run/coder-1.sock --gateway http://127.0.0.1:50051
exit:    0 stopped cleanly, 1 could not start or failed, 2 wrong usage
`;
