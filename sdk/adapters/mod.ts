/**
 * What every adapter stands on. The adapters themselves are modules of their own, one a framework:
 * each repeats the framework's types structurally, and none imports a framework.
 *
 * @module
 */
export { type Checker, guardOf } from "./agent_guard.ts";
export {
  type Guard,
  type ModelCall,
  type ToolCall,
  type ToolOutcome,
  UnguardableToolError,
  type UnguardedTools,
} from "./guard.ts";
