/**
 * Huffman coding of header texts (RFC 7541 section 5.2 and Appendix B). Decoding walks a table
 * machine four bits at a time; encoding packs code words into bytes.
 *
 * @module
 */

import { HUFFMAN_CODE_BITS } from "./tables.ts";

const EOS = 256;
/** A transition that ends in the EOS symbol or leaves the tree. */
const INVALID = -1;
/** No symbol: of an inner node, or of a transition that completes none. */
const SILENT = -1;
/** In a transition, the bit that says that it completes a symbol, which stands above it. */
const EMITS = 0x100;

const CODE_WORDS = new Uint32Array(257);

interface Machine {
  /**
   * By `state * 16 + nibble`: the next state (8 bits), {@linkcode EMITS}, and the symbol above it,
   * for a nibble completes at most one; {@linkcode INVALID} when the text is not Huffman code.
   */
  readonly transitions: Int32Array;
  /** Whether a text may end in a state: fewer than 8 bits, all ones, since the last symbol. */
  readonly accepting: Uint8Array;
}

/** A node of the code tree: children by bit, or the symbol of a leaf. */
interface TreeNode {
  readonly children: [TreeNode | undefined, TreeNode | undefined];
  readonly symbol: number;
  state: number;
  readonly accepting: boolean;
}

function newNode(symbol: number, accepting: boolean): TreeNode {
  return { children: [undefined, undefined], symbol, state: INVALID, accepting };
}

function assignCodeWords(): void {
  const order = HUFFMAN_CODE_BITS.map((bits, symbol) => ({ bits, symbol }));
  order.sort((a, b) => a.bits - b.bits || a.symbol - b.symbol);
  let word = 0;
  let previous_bits = 0;
  for (const { bits, symbol } of order) {
    word = word * 2 ** (bits - previous_bits);
    CODE_WORDS[symbol] = word++;
    previous_bits = bits;
  }
}

function buildTree(): TreeNode[] {
  const root = newNode(SILENT, true);
  root.state = 0;
  const internal = [root];
  for (let symbol = 0; symbol <= EOS; symbol++) {
    const bits = HUFFMAN_CODE_BITS[symbol] ?? 0;
    const word = CODE_WORDS[symbol] ?? 0;
    let node = root;
    for (let depth = 1; depth <= bits; depth++) {
      const bit = (word >>> (bits - depth)) & 1;
      let child = node.children[bit];
      if (child === undefined) {
        const all_ones = word >>> (bits - depth) === 2 ** depth - 1;
        child = newNode(depth === bits ? symbol : SILENT, all_ones && depth < 8);
        node.children[bit === 0 ? 0 : 1] = child;
        if (depth < bits) {
          child.state = internal.length;
          internal.push(child);
        }
      }
      node = child;
    }
  }
  return internal;
}

function buildMachine(): Machine {
  assignCodeWords();
  const nodes = buildTree();
  const root = nodes[0];
  const transitions = new Int32Array(nodes.length * 16).fill(INVALID);
  const accepting = new Uint8Array(nodes.length);
  for (const start of nodes) {
    accepting[start.state] = start.accepting ? 1 : 0;
    for (let nibble = 0; nibble < 16; nibble++) {
      let node: TreeNode | undefined = start;
      let symbol = SILENT;
      for (let bit = 3; bit >= 0 && node !== undefined; bit--) {
        node = node.children[(nibble >>> bit) & 1 ? 1 : 0];
        if (node === undefined || node.symbol === SILENT) continue;
        symbol = node.symbol;
        node = symbol === EOS ? undefined : root;
      }
      if (node === undefined) continue;
      const emitted = symbol === SILENT ? 0 : EMITS | (symbol << 9);
      transitions[start.state * 16 + nibble] = node.state | emitted;
    }
  }
  return { transitions, accepting };
}

const MACHINE = buildMachine();

/** Most characters made into a text at once: each is an argument of one call. */
const CHARS_AT_ONCE = 1024;

/**
 * Decodes `bytes[start, end)` as one byte per character (Latin-1).
 *
 * @returns the text, or undefined when it holds EOS, wrong padding or an incomplete code
 */
export function decodeHuffman(bytes: Uint8Array, start: number, end: number): string | undefined {
  const { transitions, accepting } = MACHINE;
  const codes: number[] = [];
  let state = 0;
  for (let position = start; position < end; position++) {
    const byte = bytes[position] ?? 0;
    const high = transitions[state * 16 + (byte >>> 4)] ?? INVALID;
    if (high < 0) return undefined;
    if (high & EMITS) codes.push(high >>> 9);
    const low = transitions[(high & 0xff) * 16 + (byte & 15)] ?? INVALID;
    if (low < 0) return undefined;
    if (low & EMITS) codes.push(low >>> 9);
    state = low & 0xff;
  }
  return accepting[state] === 1 ? textOf(codes) : undefined;
}

/** Bytes as one character each. */
export function latin1(bytes: Uint8Array, start: number, end: number): string {
  const codes = new Array<number>(end - start);
  for (let index = 0; index < codes.length; index++) codes[index] = bytes[start + index] ?? 0;
  return textOf(codes);
}

/** A plain array is turned into arguments much faster than a typed one. */
function textOf(codes: number[]): string {
  if (codes.length <= CHARS_AT_ONCE) return String.fromCharCode.apply(null, codes);
  let text = "";
  for (let from = 0; from < codes.length; from += CHARS_AT_ONCE) {
    text += String.fromCharCode.apply(null, codes.slice(from, from + CHARS_AT_ONCE));
  }
  return text;
}

/** Length in bytes of a text after Huffman coding; characters above 255 count as their low byte. */
export function huffmanBytes(text: string): number {
  let bits = 0;
  for (let index = 0; index < text.length; index++) {
    bits += HUFFMAN_CODE_BITS[text.charCodeAt(index) & 255] ?? 0;
  }
  return Math.ceil(bits / 8);
}

/**
 * Appends the Huffman code of a text to `out`, padded with ones to a whole byte. Fewer than eight
 * bits wait between symbols, so a code word goes in at most 24 bits at a time.
 */
export function encodeHuffman(text: string, out: number[]): void {
  let waiting = 0;
  let bits = 0;
  for (let index = 0; index < text.length; index++) {
    const symbol = text.charCodeAt(index) & 255;
    const word = CODE_WORDS[symbol] ?? 0;
    let length = HUFFMAN_CODE_BITS[symbol] ?? 0;
    if (length > 24) {
      // The longest words, of bytes hardly anybody sends, go in two parts.
      length -= 16;
      waiting = (waiting << length) | (word >>> 16);
      bits += length;
      while (bits >= 8) out.push((waiting >>> (bits -= 8)) & 255);
      length = 16;
    }
    waiting = (waiting << length) | (length === 16 ? word & 0xffff : word);
    bits += length;
    while (bits >= 8) out.push((waiting >>> (bits -= 8)) & 255);
  }
  if (bits > 0) out.push(((waiting << (8 - bits)) | (0xff >>> bits)) & 255);
}
