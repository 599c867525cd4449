import assert from "node:assert/strict";

const HERE = new URL("./", import.meta.url).pathname;

Deno.test("the package can be published: explicit types, and no test, peer or example in it", async () => {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["publish", "--dry-run", "--allow-dirty"],
    cwd: HERE,
    env: { NO_COLOR: "1" },
    stdout: "piped",
    stderr: "piped",
  }).output();
  const decoder = new TextDecoder();
  const text = decoder.decode(stdout) + decoder.decode(stderr);
  assert.equal(code, 0, text);
  const files = [...text.matchAll(/\/grpc\/(\S+) \([\d.]+[KM]?B\)/g)].map((match) =>
    match[1] ?? ""
  );
  assert.ok(files.includes("mod.ts"), text);
  const unwanted = files.filter((file) =>
    /_test\.ts$|^(?:testing|testdata|conformance|examples)\/|echo/.test(file)
  );
  assert.deepEqual(unwanted, []);
});
