/**
 * What waits to be written to one connection: answers in the order of their questions, whatever
 * order they are decided in, and between them what nobody asked for. Answers carry no number, so
 * that one skipped or doubled would shift all later ones (contract `wire` §3.5).
 *
 * @module
 */
import { IPC_ROOM_LIMITS } from "./limits.ts";

/** A frame ready to be written. */
export interface OutFrame {
  readonly tag: number;
  readonly body: Uint8Array;
}

/** The place of one answer in the order. */
export interface ReplySlot {
  frame: OutFrame | undefined;
}

/** The queue of one connection. */
export class ReplyQueue {
  /** Answers from `#head` on; what is before it is written and forgotten in one go. */
  #slots: ReplySlot[] = [];
  #head = 0;
  #unsolicited: OutFrame[] = [];

  /** Answers owed: being decided, or decided and not yet taken. */
  get owed(): number {
    return this.#slots.length - this.#head;
  }

  /** Takes the next place in the order. Set its frame once it is decided. */
  reserve(): ReplySlot {
    const slot: ReplySlot = { frame: undefined };
    this.#slots.push(slot);
    return slot;
  }

  /** @returns `false` when too many wait already: it is dropped. */
  addUnsolicited(frame: OutFrame): boolean {
    if (this.#unsolicited.length >= IPC_ROOM_LIMITS.unsolicited_max) return false;
    this.#unsolicited.push(frame);
    return true;
  }

  /** The next frame that may be written now. */
  take(): OutFrame | undefined {
    const asked = this.#slots[this.#head]?.frame;
    if (asked === undefined) return this.#unsolicited.shift();
    this.#head++;
    if (this.#head === this.#slots.length) {
      this.#slots = [];
      this.#head = 0;
    } else if (this.#head >= IPC_ROOM_LIMITS.queries_in_flight_max) {
      this.#slots = this.#slots.slice(this.#head);
      this.#head = 0;
    }
    return asked;
  }
}
