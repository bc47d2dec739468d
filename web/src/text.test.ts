import { describe, expect, it } from "vitest";

import { bytes, duration, followable, lasting, milliseconds, printable } from "./text";
import { parse, take } from "./link";

describe("text", () => {
  it("of the instance cannot control the page", () => {
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

describe("a link", () => {
  it("carries token and workspace in its fragment", () => {
    expect(parse("#token=abc")).toEqual({ token: "abc", workspace: null });
    expect(parse("#workspace=w1&token=x%2By")).toEqual({ token: "x+y", workspace: "w1" });
    expect(parse("")).toEqual({ token: null, workspace: null });
    expect(parse("#token=&workspace=")).toEqual({ token: null, workspace: null });
  });

  it("leaves no token in the address", () => {
    let address = "";
    const history = { replaceState: (_: unknown, __: string, url: string) => (address = url) } as unknown as History;
    const at = (hash: string) => ({ hash, pathname: "/", search: "" }) as Location;
    expect(take(at("#token=abc&workspace=a/b"), history)).toEqual({ token: "abc", workspace: "a/b" });
    expect(address).toBe("/#workspace=a%2Fb");
    take(at("#token=abc"), history);
    expect(address).toBe("/");
  });
});
