/**
 * An MCP server over the toolbox. Run as a program it speaks over stdio, unguarded, and notes each
 * call that reached it in the file it is given.
 *
 * @module
 */
// @ts-types="@modelcontextprotocol/sdk/server/mcp"
import { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js";
// @ts-types="@modelcontextprotocol/sdk/server/stdio"
import { StdioServerTransport } from "@modelcontextprotocol/sdk/server/stdio.js";
import { Toolbox } from "./toolbox.ts";

/** A server with every tool of the box. */
export function serverOf(toolbox: Toolbox): McpServer {
  const server = new McpServer({ name: "toolbox", version: "1.0.0" });
  for (const { name, description, schema, run } of toolbox.specs) {
    server.registerTool(name, { description, inputSchema: schema.shape }, (args) => {
      const answer = run(args);
      const text = typeof answer === "string" ? answer : JSON.stringify(answer);
      return { content: [{ type: "text", text }] };
    });
  }
  return server;
}

if (import.meta.main) {
  const [log = ""] = Deno.args;
  const toolbox = new Toolbox((call) => {
    Deno.writeTextFileSync(log, `${JSON.stringify(call)}\n`, { append: true, create: true });
  });
  await serverOf(toolbox).connect(new StdioServerTransport());
}
