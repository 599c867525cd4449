/**
 * `aasm approvals watch -i`: the pending requests on one screen, decided with the keyboard.
 *
 * Arrows choose; `a` shows what would be approved and asks y/n; `r` takes a reason and rejects;
 * `q` ends.
 *
 * @module
 */
import type { Client } from "../../grpc/mod.ts";
import { GrpcError } from "../../grpc/mod.ts";
import type { approvals } from "../../proto/mod.ts";
import { ExitCode } from "../exit_code.ts";
import type { GatewayConnection } from "../gateway_connection.ts";
import type { Key } from "../input.ts";
import { approvalText, noticeLine, timeLeft, urgency, usd } from "../render/approval.ts";
import { painter } from "../render/color.ts";
import { printable } from "../render/printable.ts";
import type { Session } from "../session.ts";

type Service = Client<typeof approvals.ApprovalAdminService>;

/** What the keyboard does now. */
type Mode =
  | { readonly kind: "choose" }
  | { readonly kind: "confirm"; readonly shown: approvals.GetApprovalResponse }
  | { readonly kind: "reason"; readonly request_id: string; readonly typed: string };

const CLEAR_SCREEN = "\u001b[H\u001b[2J";
const REDRAW_MS = 1_000;
/** Requests on the screen; further ones are counted. */
const ROWS_MAX = 20;
/** Longest reason typed here, in characters. */
const REASON_CHARS_MAX = 256;

/** Runs the screen until `q`, Ctrl-C, or the end of the stream. */
export async function watchInteractively(
  gateway: GatewayConnection,
  client: Service,
  session: Session,
): Promise<ExitCode> {
  const screen = new ApprovalsScreen(gateway, client, session);
  const timer = setInterval(() => screen.draw(), REDRAW_MS);
  const stop = new AbortController();
  session.signal.addEventListener("abort", () => stop.abort(), { once: true });
  const options = { ...await gateway.operatorStream(), signal: stop.signal };
  const stream = (async () => {
    for await (const notice of client.watchApprovals({ backlog: true }, options)) {
      screen.take(notice);
    }
  })();
  try {
    screen.draw();
    await Promise.race([stream, screen.keyboard()]);
  } catch (error) {
    if (!stop.signal.aborted) throw error;
  } finally {
    clearInterval(timer);
    stop.abort();
    await stream.catch(() => {
      // Ended from here.
    });
  }
  return ExitCode.OK;
}

class ApprovalsScreen {
  readonly #pending = new Map<string, approvals.Approval>();
  #chosen = "";
  #mode: Mode = { kind: "choose" };
  #note = "";

  constructor(
    private readonly gateway: GatewayConnection,
    private readonly client: Service,
    private readonly session: Session,
  ) {}

  /** Takes a change from the stream. */
  take(notice: approvals.ApprovalNotice): void {
    const { approval } = notice;
    if (approval === undefined) return;
    if (approval.status === "pending") this.#pending.set(approval.requestId, approval);
    else this.#pending.delete(approval.requestId);
    if (notice.change !== "pending") this.#note = noticeLine(notice, this.session.terminal);
    if (!this.#pending.has(this.#chosen)) this.#chosen = this.#pending.keys().next().value ?? "";
    this.draw();
  }

  /** Follows the keyboard until `q` or the end of input. */
  async keyboard(): Promise<void> {
    for await (const key of this.session.input.keys()) {
      if (await this.#press(key) === "quit") return;
      this.draw();
    }
  }

  draw(): void {
    const { terminal } = this.session;
    terminal.out(CLEAR_SCREEN + this.#text());
  }

  async #press(key: Key): Promise<"quit" | "stay"> {
    switch (this.#mode.kind) {
      case "reason":
        await this.#type(key, this.#mode);
        return "stay";
      case "confirm":
        await this.#confirm(key, this.#mode.shown);
        return "stay";
      case "choose":
        return await this.#choose(key);
    }
  }

  async #choose(key: Key): Promise<"quit" | "stay"> {
    const word = typeof key === "string" ? key : key.text;
    if (word === "q") return "quit";
    if (word === "up" || word === "k") this.#move(-1);
    if (word === "down" || word === "j") this.#move(1);
    if (this.#chosen === "") return "stay";
    if (word === "a" || word === "enter") {
      await this.#attempt(async () => {
        const requestId = this.#chosen;
        const shown = await this.client.getApproval({ requestId }, await this.gateway.operator());
        this.#mode = { kind: "confirm", shown };
      });
    }
    if (word === "r") this.#mode = { kind: "reason", request_id: this.#chosen, typed: "" };
    return "stay";
  }

  async #confirm(key: Key, shown: approvals.GetApprovalResponse): Promise<void> {
    this.#mode = { kind: "choose" };
    const yes = typeof key !== "string" && key.text.toLowerCase() === "y";
    const { approval } = shown;
    if (!yes || approval === undefined) {
      this.#note = "not approved";
      return;
    }
    await this.#attempt(async () => {
      await this.client.approveApproval(
        { requestId: approval.requestId, expectedDigest: approval.digest },
        await this.gateway.operator(),
      );
      this.#note = `approved ${approval.requestId}`;
    });
  }

  async #type(key: Key, mode: Extract<Mode, { kind: "reason" }>): Promise<void> {
    const { typed, request_id } = mode;
    if (key === "escape") this.#mode = { kind: "choose" };
    else if (key === "backspace") {
      this.#mode = { ...mode, typed: [...typed].slice(0, -1).join("") };
    } else if (key === "enter") {
      if (typed.trim() === "") return;
      this.#mode = { kind: "choose" };
      await this.#attempt(async () => {
        const request = { requestId: request_id, reason: typed };
        await this.client.rejectApproval(request, await this.gateway.operator());
        this.#note = `rejected ${request_id}`;
      });
    } else if (typeof key !== "string" && typed.length < REASON_CHARS_MAX) {
      this.#mode = { ...mode, typed: typed + key.text };
    }
  }

  /** What the gateway refuses is shown; the screen stays. */
  async #attempt(work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      if (!(error instanceof GrpcError)) throw error;
      this.#note = `refused: ${printable(error.message)}`;
    }
  }

  #move(by: number): void {
    const ids = [...this.#pending.keys()];
    const at = ids.indexOf(this.#chosen);
    this.#chosen = ids[Math.max(0, Math.min(ids.length - 1, at + by))] ?? "";
  }

  #text(): string {
    const { terminal } = this.session;
    const now_ms = this.session.now_ms();
    if (this.#mode.kind === "confirm") {
      return `${approvalText(this.#mode.shown, now_ms, terminal)}\n` +
        "Let exactly this happen? y approves, any other key goes back\n";
    }
    const paint = painter(terminal.colors);
    const rows = [...this.#pending.values()].slice(0, ROWS_MAX).map((one) => {
      const chosen = one.requestId === this.#chosen;
      const left = paint(
        urgency(one.expiresAtUnixMs, now_ms),
        timeLeft(one.expiresAtUnixMs, now_ms).padStart(8),
      );
      const action = `${one.actionKind} ${one.resource}`.trim();
      const line = `${one.requestId}  ${one.agentId}  ${action}  ${usd(one.microUsd)}`;
      return `${chosen ? ">" : " "} ${left}  ${
        paint(chosen ? "strong" : undefined, printable(line))
      }`;
    });
    const more = this.#pending.size - rows.length;
    const prompt = this.#mode.kind === "reason"
      ? `Reason for rejecting ${this.#mode.request_id} (Enter sends, Esc goes back): ${
        printable(this.#mode.typed)
      }`
      : "arrows choose   a approve   r reject   q quit";
    return [
      paint("strong", `${this.#pending.size} pending`),
      ...rows,
      ...(more > 0 ? [`  and ${more} more`] : []),
      "",
      ...(this.#note === "" ? [] : [this.#note]),
      prompt,
      "",
    ].join("\n");
  }
}
