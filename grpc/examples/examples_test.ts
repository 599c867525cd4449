import assert from "node:assert/strict";

const HERE = new URL("./", import.meta.url).pathname;

function program(name: string, args: readonly string[]): Deno.Command {
  return new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--no-prompt", "--allow-net=127.0.0.1", `${HERE}${name}`, ...args],
    env: { NO_COLOR: "1" },
    stdout: "piped",
    stderr: "piped",
  });
}

/** Reads until a line matches. */
async function lineOf(stream: ReadableStream<Uint8Array>, pattern: RegExp): Promise<string> {
  let text = "";
  for await (const chunk of stream.pipeThrough(new TextDecoderStream())) {
    text += chunk;
    const match = pattern.exec(text);
    if (match?.[1] !== undefined) return match[1];
  }
  assert.fail(`no line matched ${pattern}: ${text}`);
}

Deno.test("the example client talks to the example server, each with loopback permission only", async () => {
  const server = program("server.ts", ["0"]).spawn();
  try {
    const port = await lineOf(server.stdout, /serving on 127\.0\.0\.1:(\d+);/);
    const { code, stdout, stderr } = await program("client.ts", [port]).output();
    assert.equal(code, 0, new TextDecoder().decode(stderr));
    assert.equal(
      new TextDecoder().decode(stdout),
      "Hallo, Ada\n" +
        "Hello, Grace, for the 1. time\nHello, Grace, for the 2. time\n" +
        "Hello, Grace, for the 3. time\n" +
        "INVALID_ARGUMENT: name is empty: say who you are\n",
    );
  } finally {
    server.kill("SIGINT");
    await server.stderr.cancel();
    await server.status;
  }
});

Deno.test("each example is a program a reader takes in at once: 40 lines", async () => {
  for (const name of ["server.ts", "client.ts"]) {
    const lines = (await Deno.readTextFile(`${HERE}${name}`)).trimEnd().split("\n").length;
    assert.ok(lines <= 40, `${name} has ${lines} lines`);
  }
});
