/**
 * Compares this module's HPACK, and what it does with messages, status texts and binary metadata,
 * with Python: `hpack` 4 and the standard library.
 *
 *     deno run -A grpc/conformance/hpack/main.ts [--long] [--seed N] [--blocks N]
 *
 * Where the two may differ, and why: {@linkcode excuseOf}.
 *
 * @module
 */
// deno-lint-ignore-file no-console

import { decodeBase64, encodeBase64 } from "../../base64.ts";
import { HpackDecoder, HpackError } from "../../hpack/decoder.ts";
import { encodeBlock, encodeField } from "../../hpack/encoder.ts";
import { MessageReader } from "../../message_framing.ts";
import { decodeStatusMessage, encodeStatusMessage } from "../../status_message.ts";
import { HpackWriter } from "../hpack_writer.ts";
import { Random } from "../random.ts";
import { drawFields, mutateBlock } from "./blocks.ts";
import { type Answer, Question, Reference } from "./reference.ts";

const SEED = 20_260_101;
const BLOCKS = 300_000;
const LONG_BLOCKS = 4_000_000;
/** Bytes of questions in one batch. */
const BATCH_BYTES = 1 << 20;
const LIST_BYTES_MAX = 1 << 30;
const SHOWN_MAX = 5;

/** One comparison under way: asks, and later judges the answer. */
interface Comparison {
  readonly name: string;
  /** Inputs compared, out of the number asked for. */
  readonly share: number;
  /** Appends a question; the returned function reads its answer and compares. */
  ask(question: Question): { readonly inputs: number; judge(answer: Answer): void };
}

class Difference extends Error {}

/** What one side made of a block: its fields, or why it has none. */
type Decoded = { readonly fields: readonly string[] } | { readonly error: string };

/**
 * Why this module may refuse what the reference accepts, or undefined when it may not. Every bound
 * of ours that the RFC leaves to the implementation:
 * - an integer of more than four bytes after its prefix, be it zeros (RFC 7541 section 5.1)
 * - a third size update in one block (section 4.2 needs two at most)
 */
function excuseOf(ours: Decoded): string | undefined {
  if (!("error" in ours)) return undefined;
  if (ours.error.startsWith("an integer is longer")) return "long integer";
  if (ours.error.startsWith("a table size update stands")) return "third size update";
  return undefined;
}

class Decoding implements Comparison {
  readonly name = "blocks decoded alike";
  readonly share = 0.6;
  readonly excused = new Map<string, number>();
  errors = 0;
  readonly #random: Random;

  constructor(random: Random) {
    this.#random = random;
  }

  ask(question: Question) {
    const random = this.#random;
    const limit = random.pick([0, 64, 100, 300, 4096, 4096, 4096, 16_384]);
    const acknowledged = random.chance(0.5);
    const writer = new HpackWriter(random, limit, acknowledged);
    const hostile = random.chance(0.5);
    const blocks = Array.from({ length: random.between(1, 12) }, () => {
      if (hostile && random.chance(0.1)) return random.bytes(random.skewed(200));
      const block = random.chance(0.9)
        ? writer.block(drawFields(random))
        : encodeBlock(drawFields(random));
      return hostile && random.chance(0.3) ? mutateBlock(random, block) : block;
    });
    question.u8(0).u32(limit).u8(acknowledged ? 1 : 0).u32(blocks.length);
    for (const block of blocks) question.text(block);
    const decoder = new HpackDecoder(limit, !acknowledged);
    if (acknowledged) decoder.onLimitAcknowledged();
    // A list that is too long for us must still leave the table in step.
    const short_lists = random.chance(0.2);
    return {
      inputs: blocks.length,
      judge: (answer: Answer) => this.#judge(answer, decoder, blocks, short_lists),
    };
  }

  #judge(
    answer: Answer,
    decoder: HpackDecoder,
    blocks: readonly Uint8Array[],
    short_lists: boolean,
  ): void {
    let comparing = true;
    for (const block of blocks) {
      const theirs = readDecoded(answer);
      const list_bytes_max = short_lists && this.#random.chance(0.5) ? 150 : LIST_BYTES_MAX;
      if (comparing) comparing = this.#compare(decoder, block, theirs, list_bytes_max);
      if ("error" in theirs) return;
    }
  }

  /** Whether the two are still in step. */
  #compare(decoder: HpackDecoder, block: Uint8Array, theirs: Decoded, list_bytes_max: number) {
    const ours = decodeOurs(decoder, block, list_bytes_max);
    if ("error" in ours || "error" in theirs) {
      if ("error" in ours && "error" in theirs) {
        this.errors++;
        return false;
      }
      const excuse = excuseOf(ours);
      if (excuse === undefined) throw new Difference(show(block, ours, theirs));
      this.excused.set(excuse, (this.excused.get(excuse) ?? 0) + 1);
      return false;
    }
    const same = ours.cut
      ? ours.fields.every((text, at) => text === theirs.fields[at])
      : isSame(ours.fields, theirs.fields);
    if (!same) throw new Difference(show(block, ours, theirs));
    return true;
  }
}

function decodeOurs(
  decoder: HpackDecoder,
  block: Uint8Array,
  list_bytes_max: number,
): { fields: readonly string[]; cut: boolean } | { error: string } {
  try {
    const { fields, too_large } = decoder.decode(block, 0, block.length, list_bytes_max);
    return { fields, cut: too_large };
  } catch (reason) {
    if (!(reason instanceof HpackError)) throw reason;
    return { error: reason.message };
  }
}

function readDecoded(answer: Answer): Decoded {
  if (answer.u8() === 0) return { error: answer.text() };
  const fields: string[] = [];
  for (let count = answer.u32(); count > 0; count--) fields.push(answer.text(), answer.text());
  return { fields };
}

function isSame(left: readonly string[], right: readonly string[]): boolean {
  return left.length === right.length && left.every((text, at) => text === right[at]);
}

function show(block: Uint8Array, ours: Decoded, theirs: Decoded): string {
  const hex = [...block].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return `block ${hex.slice(0, 400)}: ours ${JSON.stringify(ours).slice(0, 200)}, ` +
    `theirs ${JSON.stringify(theirs).slice(0, 200)}`;
}

class OurEncoding implements Comparison {
  readonly name = "lists we encode, decoded by the reference";
  readonly share = 0.2;
  readonly #random: Random;

  constructor(random: Random) {
    this.#random = random;
  }

  ask(question: Question) {
    const lists = Array.from({ length: this.#random.between(1, 8) }, () => {
      const fields = drawFields(this.#random);
      return fields.map((text) => text.slice(0, 6000));
    });
    question.u8(0).u32(4096).u8(0).u32(lists.length);
    for (const fields of lists) {
      const out: number[] = [];
      for (let at = 0; at < fields.length; at += 2) {
        const sensitivity = this.#random.chance(0.2) ? "never_indexed" : "plain";
        encodeField(out, fields[at] ?? "", fields[at + 1] ?? "", sensitivity);
      }
      question.text(Uint8Array.from(out));
    }
    return {
      inputs: lists.length,
      judge: (answer: Answer) => {
        for (const fields of lists) {
          const theirs = readDecoded(answer);
          if ("error" in theirs || !isSame(fields, theirs.fields)) {
            throw new Difference(`${JSON.stringify(fields)} became ${JSON.stringify(theirs)}`);
          }
        }
      },
    };
  }
}

class TheirEncoding implements Comparison {
  readonly name = "lists the reference encodes, decoded by us";
  readonly share = 0.2;
  readonly #random: Random;

  constructor(random: Random) {
    this.#random = random;
  }

  ask(question: Question) {
    const random = this.#random;
    const lists = Array.from({ length: random.between(1, 12) }, () => drawFields(random));
    question.u8(1).u32(lists.length);
    for (const fields of lists) {
      question.u32(random.chance(0.1) ? random.skewed(4096) : 0xffff_ffff);
      question.u8(random.below(2)).u32(fields.length / 2);
      for (let at = 0; at < fields.length; at += 2) {
        question.u8(random.chance(0.1) ? 1 : 0);
        question.text(fields[at] ?? "").text(fields[at + 1] ?? "");
      }
    }
    return {
      inputs: lists.length,
      judge: (answer: Answer) => {
        const decoder = new HpackDecoder(4096);
        for (const fields of lists) {
          const block = answer.bytes();
          const ours = decodeOurs(decoder, block, LIST_BYTES_MAX);
          if ("error" in ours || !isSame(fields, ours.fields)) {
            throw new Difference(show(block, ours, { fields }));
          }
        }
      },
    };
  }
}

class StatusTexts implements Comparison {
  readonly name = "status texts";
  readonly share = 0.1;
  readonly #random: Random;

  constructor(random: Random) {
    this.#random = random;
  }

  ask(question: Question) {
    const random = this.#random;
    const values = Array.from(
      { length: 20 },
      () => random.text(random.skewed(20), random.pick(["%aA0fF ", "%EF%BB%BF%C3", "%8E2aZ"])),
    );
    const texts = Array.from(
      { length: 20 },
      () => random.text(random.skewed(12), " %aä€\ufeff\u{10348}\n~\x7f".normalize()),
    ).map((text) => text.toWellFormed());
    const encoder = new TextEncoder();
    question.u8(2).u32(values.length);
    for (const value of values) question.text(value);
    question.u32(texts.length);
    for (const text of texts) question.text(encoder.encode(text));
    return {
      inputs: values.length + texts.length,
      judge: (answer: Answer) => {
        const utf8 = new TextDecoder("utf-8", { ignoreBOM: true });
        for (const value of values) {
          const [ours, theirs] = [decodeStatusMessage(value), utf8.decode(answer.bytes())];
          if (ours !== theirs) throw new Difference(`\`${value}\`: ours ${ours}, theirs ${theirs}`);
        }
        for (const text of texts) {
          const [ours, theirs] = [encodeStatusMessage(text, 1 << 20), answer.text()];
          if (ours !== theirs) throw new Difference(`\`${text}\`: ours ${ours}, theirs ${theirs}`);
          const back = decodeStatusMessage(ours);
          if (back !== text) throw new Difference(`\`${ours}\` came back as \`${back}\``);
        }
      },
    };
  }
}

class BinaryMetadata implements Comparison {
  readonly name = "binary metadata";
  readonly share = 0.1;
  readonly #random: Random;

  constructor(random: Random) {
    this.#random = random;
  }

  ask(question: Question) {
    const random = this.#random;
    const texts = Array.from({ length: 40 }, () => {
      if (random.chance(0.5)) return encodeBase64(random.bytes(random.skewed(300)));
      return random.text(random.skewed(12), "AQgwz09+/=-_ ") + random.pick(["", "", "=", "=="]);
    });
    question.u8(3).u32(texts.length);
    for (const text of texts) question.text(text);
    return {
      inputs: texts.length,
      judge: (answer: Answer) => {
        for (const text of texts) {
          const ours = decodeBase64(text)?.join();
          const theirs = answer.u8() === 1 ? answer.bytes().join() : undefined;
          if (ours !== theirs) throw new Difference(`\`${text}\`: ours ${ours}, theirs ${theirs}`);
        }
      },
    };
  }
}

class Messages implements Comparison {
  readonly name = "messages cut out of data";
  readonly share = 0.1;
  readonly #random: Random;

  constructor(random: Random) {
    this.#random = random;
  }

  ask(question: Question) {
    const random = this.#random;
    const limit = random.pick([0, 10, 3000, 100_000]);
    const streams = Array.from({ length: 10 }, () => {
      const data: number[] = [];
      for (let count = random.skewed(6); count > 0; count--) {
        const length = random.skewed(random.chance(0.1) ? 20_000 : 200);
        const stated = random.chance(0.03) ? random.uint32() : length;
        data.push(random.chance(0.03) ? random.below(4) : 0);
        data.push(stated >>> 24, stated >>> 16 & 255, stated >>> 8 & 255, stated & 255);
        for (const byte of random.bytes(length)) data.push(byte);
      }
      const cut = random.chance(0.3) ? random.below(data.length + 1) : data.length;
      return Uint8Array.from(data.slice(0, cut));
    });
    question.u8(4).u32(limit).u32(streams.length);
    for (const data of streams) question.text(data);
    return {
      inputs: streams.length,
      judge: (answer: Answer) => {
        for (const data of streams) this.#compare(limit, data, answer);
      },
    };
  }

  #compare(limit: number, data: Uint8Array, answer: Answer): void {
    const reader = new MessageReader(limit);
    const ours: string[] = [];
    const drain = () => {
      while (reader.head() === "message") ours.push(reader.take().join());
    };
    for (let at = 0; at < data.length;) {
      const end = Math.min(
        data.length,
        at + this.#random.between(1, 1 + this.#random.skewed(5000)),
      );
      // From a larger buffer, as frames are.
      const padded = new Uint8Array(end + 3);
      padded.set(data.subarray(0, end));
      reader.append(padded, at, end);
      padded.fill(0xee);
      at = end;
      if (this.#random.chance(0.7)) drain();
    }
    drain();
    const theirs = Array.from({ length: answer.u32() }, () => answer.bytes().join());
    const head = answer.text();
    if (!isSame(ours, theirs) || reader.head() !== head) {
      throw new Difference(
        `limit ${limit}, data ${data.join().slice(0, 300)}: ours ${ours.length} and ` +
          `${reader.head()}, theirs ${theirs.length} and ${head}`,
      );
    }
  }
}

/** Runs one comparison; every difference is kept, the first few are shown. */
async function compare(
  reference: Reference,
  comparison: Comparison,
  inputs_wanted: number,
): Promise<boolean> {
  const started_ms = performance.now();
  const question = new Question();
  const differences: string[] = [];
  let inputs = 0;
  while (inputs < inputs_wanted) {
    const judges: ((answer: Answer) => void)[] = [];
    while (question.length < BATCH_BYTES && inputs < inputs_wanted) {
      const asked = comparison.ask(question);
      inputs += asked.inputs;
      judges.push(asked.judge);
    }
    const answer = await reference.ask(question);
    try {
      for (const judge of judges) judge(answer);
      if (!answer.atEnd) throw new Difference("the reference said more than was asked");
    } catch (reason) {
      if (!(reason instanceof Difference)) throw reason;
      differences.push(reason.message);
      if (differences.length >= SHOWN_MAX) break;
    }
  }
  const seconds = (performance.now() - started_ms) / 1000;
  const notes = comparison instanceof Decoding
    ? `, ${comparison.errors} refused by both, excused ${
      JSON.stringify(Object.fromEntries(comparison.excused))
    }`
    : "";
  const status = differences.length === 0 ? "ok  " : "FAIL";
  console.log(`${status}  ${comparison.name}: ${inputs} inputs, ${seconds.toFixed(0)} s${notes}`);
  for (const difference of differences) console.log(`      ${difference}`);
  return differences.length === 0;
}

async function main(args: readonly string[]): Promise<number> {
  const value = (name: string): string | undefined => {
    const at = args.indexOf(name);
    return at < 0 ? undefined : args[at + 1];
  };
  const long = args.includes("--long");
  const blocks = Number(value("--blocks") ?? (long ? LONG_BLOCKS : BLOCKS));
  const seed = Number(value("--seed") ?? (long ? Date.now() : SEED));
  console.log(`seed ${seed}, ${blocks} header blocks`);
  const reference = await Reference.start();
  const random = new Random(seed);
  const comparisons = [
    new Decoding(random),
    new OurEncoding(random),
    new TheirEncoding(random),
    new StatusTexts(random),
    new BinaryMetadata(random),
    new Messages(random),
  ];
  let passed = 0;
  for (const comparison of comparisons) {
    if (await compare(reference, comparison, blocks * comparison.share)) passed++;
  }
  await reference.close();
  console.log(`${passed} passed, ${comparisons.length - passed} failed, 0 skipped`);
  return passed === comparisons.length ? 0 : 1;
}

Deno.exit(await main(Deno.args));
