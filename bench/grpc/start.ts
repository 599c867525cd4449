/**
 * Starts `bench/grpc_bench.ts`. That program reads other processes' times below `/proc`, which the
 * runtime opens to nothing less than every permission; this one may start a Deno, nothing else.
 *
 * @module
 */

const { code } = await new Deno.Command(Deno.execPath(), {
  args: ["run", "--allow-all", new URL("../grpc_bench.ts", import.meta.url).pathname, ...Deno.args],
}).spawn().status;
Deno.exit(code);
