/**
 * The narrowest permission list under which the gateway can do what its flags say.
 * The launcher grants exactly this list; a test starts the program under it and proves what is refused.
 *
 * @module
 */
import { resolve } from "node:path";
import { fileURLToPath } from "node:url";
import type { GatewayConfig } from "./config.ts";

/** Where the new content of a single policy file is written before it takes the file's place. */
export function newFilePath(path: string): string {
  return `${path}.aasm-new`;
}

/** Folders of what runs in threads of its own: the store's writer, the audit tree. Source text only. */
const THREAD_SOURCES = ["../storage/sqlite", "./audit", "../core"]
  .map((path) => fileURLToPath(new URL(path, import.meta.url)));

/** Folders of what runs in a transport worker. Source text only. */
const TRANSPORT_SOURCES = ["./transport", "../grpc"]
  .map((path) => fileURLToPath(new URL(path, import.meta.url)));

/** How the runtime's lists name a listen address; a transport worker is granted this and nothing else. */
export function netGrant({ hostname, port }: { hostname: string; port: number }): string {
  return `${hostname.includes(":") ? `[${hostname}]` : hostname}:${port}`;
}

/**
 * Permissions of a transport worker: its listen address, and nothing else.
 *
 * The runtime judges `import()` by the process's permissions, not by these: code inside a worker
 * could load a module or JSON file that the gateway may read. The state holds no secret in such a file.
 *
 * @param net Address as {@linkcode netGrant} names it.
 */
export function transportWorkerPermissions(net: string): Deno.PermissionOptionsObject {
  const none = { read: false, write: false, env: false, run: false, sys: false, ffi: false };
  return { ...none, import: false, net: [net] };
}

/** Host and port of a webhook, and nothing else of it: a Slack URL is a secret. */
function webhookGrant(text: string): string {
  const url = new URL(text);
  const port = url.port === "" ? (url.protocol === "https:" ? "443" : "80") : url.port;
  return `${url.hostname}:${port}`;
}

/**
 * Deno permission flags for one configuration, every path absolute.
 *
 * Read and write: the state and audit directories, the socket's own path. Read only: the policy
 * and certificate files, the secrets key, the webhook secret; with `--policy-writable` the policy,
 * too, may be written. Net: the listen addresses, the webhooks' hosts. No FFI, no system
 * information; no environment and no subprocess but the one variable or program that gives the
 * secrets key, until it has.
 *
 * Paths hold no comma: `parseArguments` refuses them, because the runtime's lists cannot quote one.
 *
 * @param config Parsed command line.
 * @param cwd Absolute directory that relative paths start from.
 */
export function gatewayPermissions(config: GatewayConfig, cwd: string): string[] {
  const read = new Set<string>();
  const write = new Set<string>();
  const net = new Set<string>();
  for (const directory of [config.state_dir, config.audit_dir]) {
    read.add(resolve(cwd, directory));
    write.add(resolve(cwd, directory));
  }
  // The runtime asks for a worker's sources when it starts.
  for (const folder of THREAD_SOURCES) read.add(folder);
  if (config.transport_workers > 0) { for (const folder of TRANSPORT_SOURCES) read.add(folder); }
  if (config.pricing !== undefined) read.add(resolve(cwd, config.pricing));
  const { webhook, slack } = config.notify ?? {};
  for (const place of [webhook, slack]) if (place !== undefined) net.add(webhookGrant(place.url));
  if (webhook !== undefined) read.add(resolve(cwd, webhook.secret_file));
  if (config.approval_routing !== undefined) read.add(resolve(cwd, config.approval_routing));
  if (config.policy.kind === "path") {
    const path = resolve(cwd, config.policy.path);
    read.add(path);
    if (config.policy.writable === true) {
      // A file is replaced by one written beside it; in a directory both lie inside.
      for (const one of [path, newFilePath(path)]) {
        read.add(one);
        write.add(one);
      }
    }
  }
  if (config.policy_signers !== undefined) read.add(resolve(cwd, config.policy_signers));
  for (const file of Object.values(config.tls ?? {})) read.add(resolve(cwd, file));
  if (config.facts?.key_file !== undefined) read.add(resolve(cwd, config.facts.key_file));
  for (const listener of config.listeners) {
    if (listener.transport === "unix") {
      const path = resolve(cwd, listener.path);
      net.add(`unix:${path}`);
      read.add(path);
      write.add(path);
    } else {
      net.add(netGrant(listener));
    }
  }
  if (config.web !== undefined) net.add(netGrant(config.web));
  const { secrets_key } = config;
  if (secrets_key.kind === "file") read.add(resolve(cwd, secrets_key.path));
  return [
    `--allow-net=${[...net].join(",")}`,
    `--allow-read=${[...read].join(",")}`,
    `--allow-write=${[...write].join(",")}`,
    // Used once at start, then given up by the process itself.
    ...(secrets_key.kind === "env" ? [`--allow-env=${secrets_key.name}`] : []),
    ...(secrets_key.kind === "command" ? [`--allow-run=${secrets_key.program}`] : []),
  ];
}
