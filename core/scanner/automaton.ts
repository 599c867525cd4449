/**
 * Aho-Corasick over bytes, flattened to one table: the next state is one look-up per byte, whatever
 * the number of patterns.
 *
 * @module
 */

/** Columns of the table: classes of bytes that no pattern tells apart. */
const ROW = 64;
const ROW_SHIFT = 6;
/** A state is the place of its row, and must fit in 16 bits. */
const STATES_MAX = 65_536 / ROW;

/** A built automaton; the walk is `state = next[state | classes[byte]]`, starting at 0. */
export interface Automaton {
  /** Class of each byte value, below 64. */
  readonly classes: Uint8Array;
  readonly next: Uint16Array;
  /** States from this one on end a pattern. */
  readonly first_accepting: number;
  /** Length of the longest pattern. */
  readonly pattern_bytes_max: number;
  readonly pattern_of: Uint16Array;
}

/** Index of the pattern that ends at an accepting state. */
export function patternAt(automaton: Automaton, state: number): number {
  return automaton.pattern_of[(state - automaton.first_accepting) >> ROW_SHIFT] as number;
}

interface Node {
  readonly children: Map<number, Node>;
  fail: Node | undefined;
  /** Pattern that ends here, or -1. */
  pattern: number;
  /** Place in the table. */
  row: number;
}

/**
 * Builds the automaton for ASCII patterns, matched without regard to ASCII case.
 *
 * INVARIANT: no pattern is a suffix of another, so a state ends at most one pattern.
 *
 * @throws {RangeError} When a pattern is empty, repeated, or a suffix of another, or there are more
 * patterns than the table has room for.
 */
export function buildAutomaton(patterns: readonly string[]): Automaton {
  const classes = buildClasses(patterns);
  const nodes = linkFailures(buildTrie(patterns, classes));
  if (nodes.length > STATES_MAX) {
    throw new RangeError(
      `automaton has \`${nodes.length}\` states, expected ${STATES_MAX} at most`,
    );
  }
  const accepting = nodes.filter((node) => node.pattern >= 0);
  const plain = nodes.filter((node) => node.pattern < 0);
  // Accepting states come last, so that one comparison tells them.
  [...plain, ...accepting].forEach((node, position) => node.row = position * ROW);
  const next = new Uint16Array(nodes.length * ROW);
  // Breadth first: the row of a state's failure state is complete before its own.
  for (const node of nodes) {
    if (node.fail !== undefined) next.copyWithin(node.row, node.fail.row, node.fail.row + ROW);
    for (const [column, child] of node.children) next[node.row | column] = child.row;
  }
  return {
    classes,
    next,
    first_accepting: plain.length * ROW,
    pattern_bytes_max: Math.max(...patterns.map((pattern) => pattern.length)),
    pattern_of: Uint16Array.from(accepting, (node) => node.pattern),
  };
}

/** One class for each character of the patterns, both cases together; 0 for every other byte. */
function buildClasses(patterns: readonly string[]): Uint8Array {
  const classes = new Uint8Array(256);
  const characters = [...new Set(patterns.join("").toLowerCase())];
  if (characters.length >= ROW) {
    throw new RangeError(`automaton has \`${characters.length}\` classes, expected below ${ROW}`);
  }
  characters.forEach((character, index) => {
    classes[character.charCodeAt(0)] = index + 1;
    classes[character.toUpperCase().charCodeAt(0)] = index + 1;
  });
  return classes;
}

function newNode(): Node {
  return { children: new Map(), fail: undefined, pattern: -1, row: 0 };
}

function buildTrie(patterns: readonly string[], classes: Uint8Array): Node {
  const root = newNode();
  patterns.forEach((pattern, index) => {
    let node = root;
    for (const character of pattern) {
      const column = classes[character.charCodeAt(0)] as number;
      let child = node.children.get(column);
      if (child === undefined) node.children.set(column, child = newNode());
      node = child;
    }
    if (node === root || node.pattern >= 0) {
      throw new RangeError(`automaton pattern is empty or repeated: \`${pattern}\``);
    }
    node.pattern = index;
  });
  return root;
}

/** Sets the failure links and returns the nodes breadth first. */
function linkFailures(root: Node): Node[] {
  const nodes = [root];
  for (const node of nodes) {
    for (const [column, child] of node.children) {
      child.fail = node === root ? root : follow(node.fail ?? root, column);
      if (child.fail.pattern >= 0) {
        if (child.pattern >= 0) {
          throw new RangeError(
            `automaton pattern \`${child.fail.pattern}\` is a suffix of another`,
          );
        }
        child.pattern = child.fail.pattern;
      }
      nodes.push(child);
    }
  }
  return nodes;
}

/** The state for the longest suffix that can be continued by a column. */
function follow(from: Node, column: number): Node {
  let node: Node | undefined = from;
  let last = from;
  while (node !== undefined) {
    const child = node.children.get(column);
    if (child !== undefined) return child;
    last = node;
    node = node.fail;
  }
  return last;
}
