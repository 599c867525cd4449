/**
 * Draws header lists and blocks: sound, mutated, and noise.
 *
 * @module
 */

import { STATIC_TABLE } from "../../hpack/tables.ts";
import type { Random } from "../random.ts";

const NAME = "abcdefghijklmnopqrstuvwxyz0123456789-_.";

/** A flat header list; some fields repeat between calls, so that tables are used. */
export function drawFields(random: Random): string[] {
  const fields: string[] = [];
  for (let count = random.skewed(10); count > 0; count--) {
    const kind = random.below(4);
    if (kind === 0) {
      const index = random.below(STATIC_TABLE.length / 2);
      const value = random.chance(0.5) ? STATIC_TABLE[2 * index + 1] ?? "" : drawValue(random);
      fields.push(STATIC_TABLE[2 * index] ?? "", value);
    } else if (kind === 1) {
      fields.push(`x-${random.below(12)}`, String(random.below(4)));
    } else {
      fields.push(random.text(random.skewed(30), NAME), drawValue(random));
    }
  }
  return fields;
}

function drawValue(random: Random): string {
  const length = random.skewed(random.chance(0.03) ? 6000 : 60);
  if (random.chance(0.6)) return random.text(length, `${NAME} /=;,%ABCXYZ`);
  return String.fromCharCode(...random.bytes(length));
}

/** A block changed in a few places. */
export function mutateBlock(random: Random, block: Uint8Array): Uint8Array<ArrayBuffer> {
  let bytes = [...block];
  for (let count = 1 + random.skewed(4); count > 0; count--) {
    const at = random.below(bytes.length + 1);
    switch (random.below(6)) {
      case 0:
        bytes[at] = (bytes[at] ?? 0) ^ (1 << random.below(8));
        break;
      case 1:
        bytes[at] = random.pick([0, 0x0f, 0x1f, 0x20, 0x3f, 0x40, 0x7f, 0x80, 0xbe, 0xff]);
        break;
      case 2:
        bytes.splice(at, 1 + random.skewed(3));
        break;
      case 3:
        bytes.splice(at, 0, ...random.bytes(1 + random.skewed(4)));
        break;
      case 4:
        bytes.splice(at, 0, ...bytes.slice(random.below(bytes.length + 1)).slice(0, 40));
        break;
      default:
        bytes = bytes.slice(0, at);
    }
  }
  return Uint8Array.from(bytes);
}
