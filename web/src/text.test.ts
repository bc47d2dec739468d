import { describe, expect, it } from "vitest";

import { bytes, duration, followable, lasting, milliseconds, printable } from "./text";
import { tokenIn } from "./token";

describe("text", () => {
  it("of the far side cannot steer the page", () => {
    expect(printable("a\u001b[2J\u202eb\n")).toBe("a\ufffd[2J\ufffdb\ufffd");
  });

  it("is a link only when it leads to the web", () => {
    expect(followable("https://example.org/a?b")).toBe("https://example.org/a?b");
    for (const bad of ["javascript:alert(1)", "file:///etc/passwd", "data:text/html,x", "nonsense", ""]) {
      expect(followable(bad)).toBeNull();
    }
  });

  it("of times reads well", () => {
    expect(duration(61_000)).toBe("1:01");
    expect([milliseconds(0.42), milliseconds(41.6)]).toEqual(["0.4 ms", "42 ms"]);
    expect([0, 59, 60, 3599, 3600, 86_399, 90_000].map(lasting)).toEqual(["0 s", "59 s", "1 min", "59 min", "1 h 0 min", "23 h 59 min", "1 d 1 h"]);
  });

  it("of amounts reads well", () => {
    expect([0, 999, 1000, 999_999, 1_000_000, 52_428_800, 2e15].map(bytes)).toEqual(["0 B", "999 B", "1.0 kB", "999.9 kB", "1.0 MB", "52.4 MB", "2000.0 TB"]);
  });
});

describe("the token in the link", () => {
  it("is taken from the fragment alone", () => {
    expect(tokenIn("#token=abc")).toBe("abc");
    expect(tokenIn("#a=1&token=x%2By")).toBe("x+y");
    expect(tokenIn("")).toBeNull();
    expect(tokenIn("#token=")).toBeNull();
  });
});
