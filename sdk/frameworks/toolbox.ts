/**
 * The tools every framework is given. Each notes that it ran and with which arguments: that a denied
 * call did not happen is its absence here.
 *
 * @module
 */
import { z } from "zod";
import { LEAKED_KEY } from "./scripted_guard.ts";

/** One call that a model makes. */
export interface Call {
  readonly tool: string;
  readonly args: Readonly<Record<string, unknown>>;
}

/** A tool, before a framework makes it its own. */
export interface ToolSpec {
  readonly name: string;
  readonly description: string;
  readonly schema: z.ZodObject;
  readonly run: (args: Readonly<Record<string, unknown>>) => unknown;
}

/** Tools that remember. */
export class Toolbox {
  /** Every call that really ran, in order. */
  readonly ran: Call[] = [];

  /** @param onCall Told of each call that runs, for tools of another process. */
  constructor(private readonly onCall: (call: Call) => void = () => {}) {}

  readonly specs: readonly ToolSpec[] = [
    this.#tool(
      "note",
      z.object({ text: z.string(), tags: z.array(z.string()) }),
      ({ text, tags }) => ({ stored: text, tags, at: { line: 3 } }),
    ),
    this.#tool("delete_repository", z.object({ name: z.string() }), () => "deleted"),
    this.#tool(
      "read_settings",
      z.object({ service: z.string() }),
      ({ service }) => `service=${service}\nkey=${LEAKED_KEY}\n`,
    ),
    this.#tool("connect", z.object({ host: z.string() }), ({ host }) => {
      throw new Error(`${host} refused ${LEAKED_KEY}`);
    }),
    this.#tool(
      "deploy",
      z.object({ environment: z.string() }),
      ({ environment }) => `deployed to ${environment}`,
    ),
  ];

  #tool(name: string, schema: z.ZodObject, answer: ToolSpec["run"]): ToolSpec {
    return {
      name,
      description: `the tool ${name}`,
      schema,
      run: (args) => {
        this.ran.push({ tool: name, args });
        this.onCall({ tool: name, args });
        return answer(args);
      },
    };
  }
}
