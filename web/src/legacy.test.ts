import { describe, expect, it } from "vitest";

import { type Ending, LegacyTerminal, MAX_PIECE, type Socket, ending, printable } from "./legacy";
import { tokenIn } from "./token";

/** A socket whose other end is the test. */
class Wire implements Socket {
  binaryType: BinaryType = "blob";
  readyState: WebSocket["readyState"] = 0;
  onopen: ((event: Event) => void) | null = null;
  onmessage: ((event: MessageEvent) => void) | null = null;
  onclose: ((event: CloseEvent) => void) | null = null;
  readonly sent: unknown[] = [];

  send(data: unknown): void {
    this.sent.push(data);
  }

  close(): void {
    this.readyState = 3;
  }

  open(): void {
    this.readyState = 1;
    this.onopen?.({} as Event);
  }

  says(data: unknown): void {
    this.onmessage?.({ data } as MessageEvent);
  }

  ends(code: number, reason = ""): void {
    this.readyState = 3;
    this.onclose?.({ code, reason } as CloseEvent);
  }
}

function terminal() {
  const wire = new Wire();
  const heard: string[] = [];
  const endings: Ending[] = [];
  const line = new LegacyTerminal(wire, {
    opened: () => heard.push("opened"),
    output: (bytes) => heard.push(`output ${new TextDecoder().decode(bytes)}`),
    failed: (text) => heard.push(`failed ${text}`),
    closed: (how) => endings.push(how),
  });
  return { wire, line, heard, endings };
}

describe("the legacy protocol", () => {
  it("sends what is typed as text, and nothing before it is open", () => {
    const { wire, line } = terminal();
    line.type("lost");
    wire.open();
    line.type("ls\r");
    expect(wire.sent).toEqual(["ls\r"]);
    expect(wire.binaryType).toBe("arraybuffer");
  });

  it("sends a mouse report as bytes", () => {
    const { wire, line } = terminal();
    wire.open();
    line.typeBytes("\x1b[M\xff");
    expect(wire.sent).toEqual([new Uint8Array([0x1b, 0x5b, 0x4d, 0xff])]);
  });

  it("cuts a long paste between characters", () => {
    const { wire, line } = terminal();
    wire.open();
    const text = "a".repeat(MAX_PIECE - 1) + "\u{1f600}" + "b";
    line.type(text);
    expect(wire.sent.join("")).toBe(text);
    expect(wire.sent).toHaveLength(2);
    expect(wire.sent[1]).toBe("\u{1f600}b");
  });

  it("tells bytes from errors by the frame's type", () => {
    const { wire, heard } = terminal();
    wire.open();
    wire.says(new TextEncoder().encode("$ ").buffer);
    wire.says("EIC wiring incomplete: upgrade\r\n");
    expect(heard).toEqual(["opened", "output $ ", "failed EIC wiring incomplete: upgrade"]);
  });

  it("says how it ended, the gateway's own words first", () => {
    const { wire, endings } = terminal();
    wire.open();
    wire.says("Error: it broke\r\n");
    wire.ends(4500, "tcp failed");
    expect(endings).toEqual([{ clean: false, text: "Error: it broke" }]);
    expect(ending(1000, "", null, true).clean).toBe(true);
    expect(ending(1006, "", null, false).text).toContain("refused");
    expect(ending(1006, "", null, true).text).toContain("broke");
    expect(ending(4408, "idle", null, true).text).toBe("Closed: idle (4408).");
  });

  it("shows what it quotes without control characters", () => {
    expect(printable("a\x1b[2J\u202eb\u009b\r\nc \u00e9")).toBe("a\ufffd[2J\ufffdb\ufffd\ufffd\ufffdc \u00e9");
  });

  it("says nothing after it was left", () => {
    const { wire, line, heard, endings } = terminal();
    wire.open();
    line.leave();
    wire.says("late");
    wire.ends(1000);
    expect(heard).toEqual(["opened"]);
    expect(endings).toEqual([]);
  });
});

describe("the link's token", () => {
  it("is read from the fragment only", () => {
    expect(tokenIn("#token=abc_-1")).toBe("abc_-1");
    expect(tokenIn("#token=")).toBeNull();
    expect(tokenIn("")).toBeNull();
    expect(tokenIn("#other=1")).toBeNull();
  });
});
