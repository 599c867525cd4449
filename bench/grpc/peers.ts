/**
 * The servers that are compared, and how they come to be: pinned versions, built or installed by
 * ordinary clients into a folder that git ignores.
 *
 * @module
 */

import { output, type Program } from "./children.ts";

const ROOT = new URL("../..", import.meta.url).pathname;
const PEERS = `${ROOT}bench/grpc/peers`;
const CACHE = `${ROOT}grpc/conformance/.cache/bench`;
const PROTO = `${ROOT}bench/grpc/gen`;
const PKI = `${ROOT}grpc/testdata`;

const GRPC_JS = "1.14.7";
const PROTO_LOADER = "0.8.1";
const PROTOC_GEN_GO = "1.36.12";
const PROTOC_GEN_GO_GRPC = "1.6.2";

/** Certificate and key of a TLS listener; the authority that signed it. */
export const TLS = {
  args: [`${PKI}/server.pem`, `${PKI}/server.key`],
  authority: `${PKI}/authority.pem`,
} as const;

/** The Go program that measures streams and connecting. */
export const GO_CLIENT = `${CACHE}/bin/echo`;
/** The C-core client, for the distribution's Python, which has its `python3-grpcio`. */
export const PYTHON_CLIENT = ["/usr/bin/python3", `${PEERS}/grpcio_client.py`];

/** What a peer needs built before it runs. */
type Needs = "nothing" | "tonic" | "go" | "grpc_js";

/** A server that is compared. */
export interface Peer {
  /** For `--only`. */
  readonly name: string;
  readonly title: string;
  readonly program: Program;
  readonly needs: Needs;
  /** Speaks gRPC; takes certificate and key as further arguments. */
  readonly grpc: boolean;
  /** Dies of a peer that leaves: started anew for each measurement. */
  readonly fragile: boolean;
}

function peer(
  name: string,
  title: string,
  needs: Needs,
  program: Program,
  traits: { readonly grpc?: boolean; readonly fragile?: boolean } = {},
): Peer {
  return { name, title, needs, program, grpc: true, fragile: false, ...traits };
}

const ours = (codec: string): Program => ({
  command: [Deno.execPath(), "run", "-A", "--quiet", `${PEERS}/ours.ts`, codec],
  cwd: ROOT,
});
const tonic = (runtime: string): Program => ({
  command: [`${CACHE}/tonic/release/bench-tonic`, runtime],
});
const grpcJs = (...runtime: string[]): Program => ({
  command: [...runtime, "grpc_js.cjs", PROTO],
  cwd: `${CACHE}/grpc-js`,
});

/** In the order of the tables. The first is what the others are compared to. */
export const ALL_PEERS: readonly Peer[] = [
  peer("ours", "ours, Deno", "nothing", ours("protobuf_es")),
  peer("ours_hand", "ours, Deno, hand codec", "nothing", ours("hand")),
  peer("tonic", "tonic, current_thread", "tonic", tonic("current_thread")),
  peer("tonic_default", "tonic, default runtime", "tonic", tonic("default")),
  peer("grpc_go", "grpc-go, GOMAXPROCS=1", "go", {
    command: [GO_CLIENT, "server"],
    env: { GOMAXPROCS: "1" },
  }),
  peer("grpc_go_default", "grpc-go, default", "go", { command: [GO_CLIENT, "server"] }),
  peer("grpc_js_node", "grpc-js, Node", "grpc_js", grpcJs("node")),
  peer(
    "grpc_js_deno",
    "grpc-js, Deno",
    "grpc_js",
    grpcJs(Deno.execPath(), "run", "-A", "--quiet"),
    { fragile: true },
  ),
  peer("deno_serve", "Deno.serve, no gRPC", "nothing", {
    command: [Deno.execPath(), "run", "-A", "--quiet", `${PEERS}/deno_serve.ts`],
    cwd: ROOT,
  }, { grpc: false }),
];

async function must(program: Program, hint: string): Promise<string> {
  try {
    const { success, stdout, stderr } = await output(program);
    if (success) return stdout.trim();
    throw new Error(`${stdout}${stderr}`.trim());
  } catch (reason) {
    const text = reason instanceof Error ? reason.message : String(reason);
    throw new Error(`\`${program.command.slice(0, 3).join(" ")}\` failed: ${hint}\n${text}`);
  }
}

/** Builds what is missing; quick when nothing is. Go is always needed, for the client. */
export async function build(peers: readonly Peer[], say: (text: string) => void): Promise<void> {
  await Deno.mkdir(`${CACHE}/bin`, { recursive: true });
  await must({ command: ["h2load", "--version"] }, "install `nghttp2-client`");
  await must({ command: ["protoc", "--version"] }, "install `protobuf-compiler`");
  await must({ command: ["/usr/bin/python3", "-c", "import grpc"] }, "install `python3-grpcio`");
  const needed = new Set(peers.map((each) => each.needs));
  say("building the grpc-go peer and client");
  await buildGo();
  if (needed.has("tonic")) {
    say("building the tonic peer (minutes the first time)");
    await must({
      command: ["cargo", "build", "--release", "--locked", "--quiet"],
      cwd: `${PEERS}/tonic`,
      env: { CARGO_TARGET_DIR: `${CACHE}/tonic`, ECHO_PROTO_DIR: PROTO },
    }, "it needs a Rust toolchain with cargo");
  }
  if (needed.has("grpc_js")) {
    say("installing grpc-js");
    await installGrpcJs();
  }
}

async function buildGo(): Promise<void> {
  const work = `${CACHE}/go`;
  await Deno.mkdir(`${work}/echopb`, { recursive: true });
  for await (const { name } of Deno.readDir(`${PEERS}/go`)) {
    await Deno.copyFile(`${PEERS}/go/${name}`, `${work}/${name}`);
  }
  const hint = "it needs a Go toolchain";
  const generators = [
    ["protoc-gen-go", `google.golang.org/protobuf/cmd/protoc-gen-go@v${PROTOC_GEN_GO}`],
    [
      "protoc-gen-go-grpc",
      `google.golang.org/grpc/cmd/protoc-gen-go-grpc@v${PROTOC_GEN_GO_GRPC}`,
    ],
  ] as const;
  for (const [name, module] of generators) {
    if (await exists(`${CACHE}/bin/${name}`)) continue;
    await must({ command: ["go", "install", module], env: { GOBIN: `${CACHE}/bin` } }, hint);
  }
  const options = ["paths=source_relative", "Mecho.proto=bench.local/echo/echopb"];
  await must({
    command: [
      "protoc",
      `-I${PROTO}`,
      ...["go", "go-grpc"].flatMap((kind) => [
        `--${kind}_out=${work}/echopb`,
        ...options.map((option) => `--${kind}_opt=${option}`),
      ]),
      "echo.proto",
    ],
    env: { PATH: `${CACHE}/bin:${Deno.env.get("PATH") ?? ""}` },
  }, "install `protobuf-compiler`");
  await must({ command: ["go", "build", "-o", GO_CLIENT, "."], cwd: work }, hint);
}

async function installGrpcJs(): Promise<void> {
  const work = `${CACHE}/grpc-js`;
  await Deno.mkdir(work, { recursive: true });
  await Deno.copyFile(`${PEERS}/grpc_js.cjs`, `${work}/grpc_js.cjs`);
  const stamp = `${work}/${GRPC_JS}-${PROTO_LOADER}`;
  if (await exists(stamp)) return;
  await Deno.writeTextFile(`${work}/package.json`, `{"private":true}`);
  await must({
    command: [
      "npm",
      "install",
      "--silent",
      `@grpc/grpc-js@${GRPC_JS}`,
      `@grpc/proto-loader@${PROTO_LOADER}`,
    ],
    cwd: work,
  }, "it needs `node` and `npm`");
  await Deno.writeTextFile(stamp, "");
}

async function exists(path: string): Promise<boolean> {
  return await Deno.stat(path).then(() => true, () => false);
}

/** Versions of everything that takes part. */
export async function versions(): Promise<Record<string, string>> {
  const first = async (...command: string[]) =>
    (await must({ command }, "is it installed?")).split("\n")[0] ?? "";
  return {
    deno: await first(Deno.execPath(), "--version"),
    node: await first("node", "--version"),
    go: await first("go", "version"),
    rust: await first("rustc", "--version"),
    h2load: await first("h2load", "--version"),
    grpcio: await first("/usr/bin/python3", "-c", "import grpc; print(grpc.__version__)"),
    "grpc-js": GRPC_JS,
    "proto-loader": PROTO_LOADER,
    tonic: versionIn(await Deno.readTextFile(`${PEERS}/tonic/Cargo.toml`), /^tonic = .*?"=(.*?)"/m),
    tokio: versionIn(await Deno.readTextFile(`${PEERS}/tonic/Cargo.toml`), /^tokio = .*?"=(.*?)"/m),
    "grpc-go": versionIn(await Deno.readTextFile(`${PEERS}/go/go.mod`), /\/grpc v(\S+)/),
  };
}

function versionIn(text: string, pattern: RegExp): string {
  return pattern.exec(text)?.[1] ?? "unknown";
}
