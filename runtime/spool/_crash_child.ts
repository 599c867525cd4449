/**
 * Appends records until it is killed and says on standard output which were acknowledged: `ack <n>
 * <seq>`, or `refused <code>`. With a third argument it also delivers into a file, one line a
 * record, before it acknowledges: `<spool id> <seq> <n>`. Run by the fault tests.
 *
 * @module
 */
import { SYSTEM_TIMERS } from "../timers.ts";
import { numberIn, recordNumber } from "./_spool_fixture.ts";
import { Forwarder } from "./forwarder.ts";
import { openSpool } from "./spool.ts";

const [path = "", start = "0", lanes = "1", delivered] = Deno.args;
const encoder = new TextEncoder();
const say = (line: string) => Deno.stdout.writeSync(encoder.encode(`${line}\n`));

const spool = await openSpool({
  path,
  uid: null,
  readers: [{ name: "gateway", role: "required" }],
  timers: SYSTEM_TIMERS,
  newId: () => crypto.randomUUID(),
});
const { failure } = spool.status;
say(failure === undefined ? "open" : `failed ${failure.code}`);

if (delivered !== undefined) {
  const receiver = Deno.openSync(delivered, { append: true, create: true });
  const forwarder = new Forwarder({
    name: "gateway",
    spool_id: spool.id,
    reader: spool.reader("gateway"),
    sink: {
      deliver: (spool_id, records) => {
        // One write, as a receiver's transaction would be: a killed child leaves no half line.
        const lines = records.map(({ seq, bytes }) => `${spool_id} ${seq} ${numberIn(bytes)}\n`);
        receiver.writeSync(encoder.encode(lines.join("")));
        return Promise.resolve(records.at(-1)?.seq ?? 0);
      },
    },
    timers: SYSTEM_TIMERS,
    random: Math.random,
    metrics: { add: () => {}, set: () => {}, observe: () => {} },
  });
  spool.onAppended(() => forwarder.wake());
}

let next = Number(start);
let refused = 0;

async function lane(): Promise<void> {
  while (refused < 5) {
    const index = next++;
    try {
      const seq = await spool.append("event", recordNumber(index, 200));
      say(`ack ${index} ${seq}`);
    } catch (error) {
      refused++;
      say(`refused ${error instanceof Error && "code" in error ? error.code : error}`);
    }
  }
}

await Promise.all(Array.from({ length: Number(lanes) }, lane));
say(`state ${spool.state()}`);
Deno.exit(0);
