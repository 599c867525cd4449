/**
 * A broker that allows everything without looking: what asking costs by itself. `floor.ts SOCKET`.
 *
 * @module
 */
const [path = ""] = Deno.args;
for await (const connection of Deno.listen({ transport: "unix", path })) {
  void answer(connection);
}

async function answer(connection: Deno.UnixConn): Promise<void> {
  const into = new Uint8Array(65_536);
  const decoder = new TextDecoder();
  const encoder = new TextEncoder();
  for (let read = await connection.read(into); read !== null; read = await connection.read(into)) {
    const { id } = JSON.parse(decoder.decode(into.subarray(0, read)));
    await connection.write(encoder.encode(`{"id":${id},"result":"allow"}\n`));
  }
}
