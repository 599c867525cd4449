/**
 * A Python with grpcio, for tests that speak to us in another language.
 *
 * @module
 */
import assert from "node:assert/strict";

/** Runs a program to its end. @throws {AssertionError} with its errors when it fails. */
export async function run(command: string, args: readonly string[], cwd: string): Promise<string> {
  const output = await new Deno.Command(command, {
    args: [...args],
    cwd,
    stdout: "piped",
    stderr: "piped",
  })
    .output().catch((error) => {
      throw new Error(`cannot run ${command}: ${error.message}`);
    });
  const text = new TextDecoder().decode(output.stdout);
  assert.equal(output.code, 0, `${command}: ${new TextDecoder().decode(output.stderr)}`);
  return text;
}

/**
 * A Python that has grpcio, beside a `protoc`; `undefined` when there is none, which is a failure in
 * CI and a skip by name elsewhere.
 *
 * @param cwd Away from the repository, whose `grpc/` folder would shadow the package.
 * @param modules What else it must be able to import.
 * @param name The test that needs it.
 */
export async function findPython(
  cwd: string,
  modules: readonly string[],
  name: string,
): Promise<string | undefined> {
  const imports = ["grpc", "google.protobuf", ...modules].join(", ");
  const works = (command: string, args: string[]) =>
    run(command, args, cwd).then(() => true, () => false);
  if (await works("protoc", ["--version"])) {
    for (const python of ["/usr/bin/python3", "python3"]) {
      const program = `import ${imports}; grpc.insecure_channel`;
      if (await works(python, ["-c", program])) return python;
    }
  }
  const missing = `protoc, and a python3 that can import ${imports}`;
  assert.notEqual(Deno.env.get("CI"), "true", `needed: ${missing}`);
  // deno-lint-ignore no-console
  console.log(`SKIPPED: ${name}: needs ${missing}`);
  return undefined;
}
