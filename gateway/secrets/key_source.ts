/**
 * Where the master keys come from: a file, a variable of the environment, or what a program prints.
 *
 * Permissions: read of the file; or the one variable; or running the one program. The latter two are
 * used once, at start, and then given up: the process cannot do it again. A file stays readable, so
 * that a new key can be taken up without a restart.
 *
 * @module
 */
import { SECRET_LIMITS } from "../../core/secrets/limits.ts";
import type { SecretsKeySource } from "../config.ts";
import { KeySourceError } from "./failure.ts";
import { type KeyRing, keyRingFrom } from "./key_ring.ts";

/** Keys, and how to look whether there are newer ones. */
export interface OpenKeySource {
  readonly ring: KeyRing;
  /** Reads the source again; a source that can be read only once gives what it gave. */
  readonly again: () => Promise<KeyRing>;
}

/**
 * Reads a key source.
 *
 * @returns `undefined` when none is configured: secrets are then `unconfigured`.
 * @throws {KeySourceError} when one is configured and gives no keys: the gateway must not start as if
 * it had none.
 */
export async function openKeySource(
  source: SecretsKeySource,
): Promise<OpenKeySource | undefined> {
  switch (source.kind) {
    case "none":
      return undefined;
    case "file": {
      const again = () => fromFile(source.path);
      return { ring: await again(), again };
    }
    case "env":
      return once(await fromEnvironment(source.name));
    case "command":
      return once(await fromCommand(source.program));
  }
}

function once(ring: KeyRing): OpenKeySource {
  return { ring, again: () => Promise.resolve(ring) };
}

async function fromFile(path: string): Promise<KeyRing> {
  const name = `file \`${path}\``;
  let bytes: Uint8Array;
  try {
    const { mode, size, isFile } = await Deno.stat(path);
    if (!isFile) throw new KeySourceError(`cannot use the secrets key from ${name}: it is no file`);
    if (mode !== null && (mode & 0o027) !== 0) {
      throw new KeySourceError(
        `cannot use the secrets key from ${name}: others may read it or its group may write it ` +
          `(mode ${(mode & 0o777).toString(8)}); run \`chmod 600\` on it`,
      );
    }
    if (size > SECRET_LIMITS.key_source_bytes) {
      throw new KeySourceError(
        `cannot use the secrets key from ${name}: it is larger than ` +
          `${SECRET_LIMITS.key_source_bytes} bytes`,
      );
    }
    bytes = await Deno.readFile(path);
  } catch (error) {
    if (error instanceof KeySourceError) throw error;
    throw new KeySourceError(
      `cannot read the secrets key from ${name}: ${causeOf(error)}; name another with ` +
        "--secrets-key-file",
      { cause: error },
    );
  }
  return await keyRingFrom(bytes, name);
}

async function fromEnvironment(variable: string): Promise<KeyRing> {
  const name = `variable \`${variable}\``;
  const value = Deno.env.get(variable);
  if (value === undefined || value === "") {
    throw new KeySourceError(`cannot read the secrets key from ${name}: it is not set`);
  }
  // The string itself cannot be erased, and /proc shows the environment a process was started with.
  Deno.env.delete(variable);
  await Deno.permissions.revoke({ name: "env", variable });
  return await keyRingFrom(new TextEncoder().encode(value), name);
}

async function fromCommand(program: string): Promise<KeyRing> {
  const name = `program \`${program}\``;
  let bytes: Uint8Array;
  try {
    bytes = await outputOf(program);
  } catch (error) {
    throw new KeySourceError(
      `cannot read the secrets key from ${name}: ${causeOf(error)}`,
      { cause: error },
    );
  }
  await Deno.permissions.revoke({ name: "run", command: program });
  return await keyRingFrom(bytes, name);
}

/** What a program prints, bounded in size and time. What it writes to standard error is shown. */
async function outputOf(program: string): Promise<Uint8Array> {
  const child = new Deno.Command(program, {
    stdin: "null",
    stdout: "piped",
    stderr: "inherit",
    clearEnv: true,
  }).spawn();
  const timer = setTimeout(() => child.kill("SIGKILL"), SECRET_LIMITS.key_command_ms);
  const output = new Uint8Array(SECRET_LIMITS.key_source_bytes);
  let length = 0;
  try {
    for await (const chunk of child.stdout) {
      const fits = length + chunk.length <= output.length;
      if (fits) output.set(chunk, length);
      chunk.fill(0);
      if (!fits) throw new Error(`it printed more than ${output.length} bytes`);
      length += chunk.length;
    }
    const { success, code, signal } = await child.status;
    if (signal !== null) throw new Error(`it ended by ${signal}`);
    if (!success) throw new Error(`it failed with exit code ${code}`);
    return output.slice(0, length);
  } finally {
    clearTimeout(timer);
    output.fill(0);
    try {
      child.kill("SIGKILL");
    } catch {
      // It has ended.
    }
  }
}

function causeOf(error: unknown): string {
  if (error instanceof Deno.errors.NotFound) return "no such file";
  if (error instanceof Deno.errors.PermissionDenied) return "the system refuses it to this user";
  return error instanceof Error ? error.message : String(error);
}
