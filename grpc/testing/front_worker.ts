/**
 * A front's thread, as a user of this module would write it.
 *
 * @module
 */

import { type FrontThread, serveFront } from "../offload/front.ts";

serveFront(globalThis as unknown as FrontThread);
