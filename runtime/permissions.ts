/**
 * The narrowest permission list under which the runtime can do what its flags say. The launcher
 * grants exactly this list; a test starts the program under it and proves what is refused.
 *
 * @module
 */
import { dirname, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import type { RuntimeConfig } from "./config.ts";
import { libcPaths } from "./libc/paths.ts";

/** Folders and files of what runs in the spool's writer thread. Source text only. */
const THREAD_SOURCES = ["./spool", "./parts.ts", "../storage/sqlite"]
  .map((path) => fileURLToPath(new URL(path, import.meta.url)));

/** Whether the kernel's BTF is there is one of the eBPF layer's prerequisites. */
export const BTF_PATH = "/sys/kernel/btf/vmlinux";

/**
 * Deno permission flags for one configuration, every path absolute.
 *
 * Net: the sockets it serves, the health address, the gateway, the NATS server. Read and write: its
 * sockets, the state directory, the spool's folder. Read only: local rules, keys, tokens, the files
 * that layer detection looks for. FFI: the C library's own path, given up once it is open. System:
 * the kernel's version, and its own user where the kernel is not asked for peers. No environment,
 * no subprocess.
 *
 * @param config Parsed command line; its paths hold no comma.
 * @param cwd Absolute directory that relative paths start from.
 * @param platform Operating system and architecture, as `Deno.build` names them.
 */
export function runtimePermissions(
  config: RuntimeConfig,
  cwd: string,
  platform: { readonly os: string; readonly arch: typeof Deno.build.arch },
): string[] {
  const net = new Set<string>();
  const read = new Set<string>(THREAD_SOURCES);
  const write = new Set<string>();
  const absolute = (path: string) => grantable(resolve(cwd, path));
  const owns = (path: string) => {
    read.add(absolute(path));
    write.add(absolute(path));
  };
  const { ipc, health, gateway, nats, layers } = config;

  const socket = absolute(ipc.socket);
  // Bound in a private directory beside it, then linked.
  net.add(`unix:${socket}`).add(`unix:${socket}.new/s`);
  owns(socket);
  owns(`${socket}.new`);
  if (config.broker_socket !== undefined) {
    const broker = absolute(config.broker_socket);
    net.add(`unix:${broker}`).add(`unix:${broker}.new/s`);
    owns(dirname(broker));
  }
  owns(config.state_dir);
  owns(dirname(absolute(config.spool)));

  net.add(
    `${health.hostname.includes(":") ? `[${health.hostname}]` : health.hostname}:${health.port}`,
  );
  if (gateway !== undefined) {
    const { kind, value } = gateway.address.grant;
    net.add(kind === "unix" ? `unix:${value}` : value);
    if (kind === "unix") owns(value);
  }
  if (nats !== undefined) net.add(nats.server);

  for (
    const file of [
      health.token_file,
      gateway?.ca_file,
      gateway?.token_file,
      config.local_policy?.path,
      config.orders,
      nats?.config_file,
      ...nats?.tls_files ?? [],
      ipc.trusted_keys_file,
      layers.ebpf_socket,
      BTF_PATH,
      ...layers.proxy_candidates,
    ]
  ) if (file !== undefined) read.add(absolute(file));

  const libc = ipc.libc === undefined
    ? libcPaths(platform.os, platform.arch)
    : [absolute(ipc.libc)];
  const ffi = ipc.peer_credentials ? libc : [];
  const sys = ["osRelease", ...ffi.length === 0 ? ["uid"] : []];
  return [
    `--allow-net=${[...net].join(",")}`,
    `--allow-read=${[...read].join(",")}`,
    `--allow-write=${[...write].join(",")}`,
    `--allow-sys=${sys.join(",")}`,
    ...ffi.length === 0 ? [] : [`--allow-ffi=${ffi.join(",")}`],
  ];
}

function grantable(path: string): string {
  if (!path.includes(",")) return path;
  throw new Error(
    `cannot grant access to \`${path}\`: the engine's permission lists cannot quote a comma; ` +
      "start from another directory",
  );
}
