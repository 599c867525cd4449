/**
 * The hands of the agent: performs an act for real. Nothing here asks for permission; the caller
 * does, and calls {@linkcode perform} only after an ALLOW, or a REDACT with the redacted act.
 *
 * @module
 */
import type { Act } from "./act.ts";
import { callTool } from "./tool_server.ts";
import { runProgram, type World } from "./world.ts";

/**
 * Performs an act.
 *
 * @param step Number of the step: servers and tools note it, so that effects can be traced back.
 * @returns What the act gave back: a file's text, a page, a program's output, a tool's answer.
 */
export async function perform(world: World, step: number, act: Act): Promise<string> {
  switch (act.kind) {
    case "file":
      return await touch(act);
    case "http":
      return await world.internet.request(step, act.method, act.url, act.body);
    case "process":
      return await runProgram(world.paths.workspace, act.program, act.args);
    case "tool":
      return await callTool(world.tools, step, act.tool, act.args);
    case "tool_result":
      return act.result;
    case "model":
      return await world.internet.complete(step, act.model, act.prompt);
  }
}

async function touch(act: Act & { kind: "file" }): Promise<string> {
  switch (act.op) {
    case "read":
      return await Deno.readTextFile(act.path);
    case "write":
      await Deno.writeTextFile(act.path, act.text ?? "");
      return "";
    case "append":
      await Deno.writeTextFile(act.path, act.text ?? "", { append: true });
      return "";
    case "delete":
      await Deno.remove(act.path);
      return "";
    case "chmod":
      await Deno.chmod(act.path, 0o777);
      return "";
  }
}
