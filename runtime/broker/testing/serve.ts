/**
 * A broker in a process of its own, so that a test can kill it:
 * `serve.ts SOCKET FIRST_DIRECTORY`, the policy on standard input.
 *
 * @module
 */
import { dirname } from "node:path";
import { bindSocket } from "../../ipc/socket_file.ts";
import { Broker } from "../broker.ts";
import { denoFiles } from "../deno_files.ts";
import { SYSTEM_CLOCK } from "./agent_process.ts";
import { PolicyDecisions } from "./policy_decisions.ts";

if (import.meta.main) {
  const [socket = "", first_directory = ""] = Deno.args;
  const text = await new Response(Deno.stdin.readable).text();
  const uid = Deno.uid() ?? undefined;
  await Deno.mkdir(dirname(socket), { mode: 0o700 });
  new Broker(await bindSocket(socket, uid ?? 0), {
    agent: { org_id: "o1", team_id: "t1", agent_id: "a1", credential_token: "", trace_id: "t" },
    decisions: new PolicyDecisions(text),
    recordRepeats: () => Promise.resolve(),
    clock: SYSTEM_CLOCK,
    files: denoFiles,
    temp_directory: "/tmp",
    protected_paths: [],
    first_directory,
    uid,
  });
  await Deno.stdout.write(new TextEncoder().encode("ready\n"));
}
