/**
 * The shape of a call's arguments: key paths, types and rough sizes, as one number. Never a value:
 * what was in the arguments cannot be told from it.
 *
 * @module
 */
import { hashPair, hashText } from "./hash.ts";
import { ANOMALY_LIMITS } from "./limits.ts";

const { shape_chars, shape_keys, shape_depth } = ANOMALY_LIMITS;

/** Sizes by powers of sixteen: 0, 1-15, 16-255, … so that ordinary variation is one shape. */
function sizeClass(length: number): number {
  return length === 0 ? 0 : 1 + Math.floor(Math.log2(length) / 4);
}

/**
 * Shape of arguments as they came.
 *
 * @param args JSON text, or anything else.
 * @param seed Of the agent.
 */
export function shapeOf(args: string, seed: number): number {
  if (args.length > shape_chars) return hashPair(seed, 1_000 + sizeClass(args.length));
  try {
    const walk = { keys: 0 };
    return shapeOfValue(JSON.parse(args), seed, 0, walk);
  } catch {
    return hashPair(seed, 2_000 + sizeClass(args.length));
  }
}

function shapeOfValue(
  value: unknown,
  seed: number,
  depth: number,
  walk: { keys: number },
): number {
  switch (typeof value) {
    case "string":
      return hashPair(seed, 10 + sizeClass(value.length));
    case "number":
      return hashPair(seed, 1);
    case "boolean":
      return hashPair(seed, 2);
  }
  if (typeof value !== "object" || value === null) return hashPair(seed, 3);
  if (depth >= shape_depth) return hashPair(seed, 4);
  if (Array.isArray(value)) {
    // The kinds of items count, not their order or number beyond a rough size.
    let kinds = 0;
    for (const item of value.slice(0, shape_keys)) {
      if (walk.keys++ >= shape_keys) break;
      const kind = shapeOfValue(item, seed, depth + 1, walk);
      kinds = Math.max(kinds, kind);
    }
    return hashPair(hashPair(seed, 100 + sizeClass(value.length)), kinds);
  }
  let shape = hashPair(seed, 5);
  let sum = 0;
  for (const [key, inner] of Object.entries(value)) {
    if (walk.keys++ >= shape_keys) {
      shape = hashPair(shape, 6);
      break;
    }
    // Summed, so that the order of keys does not matter.
    sum = (sum + hashPair(hashText(key, seed), shapeOfValue(inner, seed, depth + 1, walk))) %
      2 ** 52;
  }
  return hashPair(shape, sum);
}
