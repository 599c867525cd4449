/**
 * One transport worker: a thread that accepts connections and hands their calls to the deciding
 * thread. It may listen at its address and nothing else: no file, no environment, no process.
 *
 * @module
 */
import { type FrontThread, serveFront } from "../../grpc/mod.ts";

serveFront(globalThis as unknown as FrontThread);
