import { describe, expect, it } from "vitest";

import { duration, followable, milliseconds, printable } from "./text";
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
