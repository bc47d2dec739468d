import { describe, expect, it } from "vitest";

import { GatewayError, type RequestOptions, ask, siblingUrl } from "./ask.js";
import { diagnose } from "./diagnose.js";
import { refusal } from "./refusal.js";
import { endSession, sessions } from "./sessions.js";
import { ticket } from "./ticket.js";
import { whyOf } from "./why.js";

const URL_OF_TERMINAL = "wss://gateway.example/workspaces/1/terminal";

interface Asked {
  url: string;
  init: RequestInit;
}

/** A `fetch` that gives these answers in turn, and notes what it was asked. */
function answering(...answers: (Response | "nothing")[]): { fetch: typeof fetch; asked: Asked[] } {
  const asked: Asked[] = [];
  const fake = (url: string | URL | Request, init: RequestInit = {}) => {
    asked.push({ url: String(url), init });
    const answer = answers.shift();
    return answer === undefined || answer === "nothing"
      ? Promise.reject(new TypeError("Failed to fetch"))
      : Promise.resolve(answer);
  };
  return { fetch: fake as typeof fetch, asked };
}

function json(status: number, body: unknown): Response {
  return new Response(JSON.stringify(body), { status });
}

describe("siblingUrl", () => {
  it("is the same place by HTTP, without query and fragment", () => {
    expect(siblingUrl(`${URL_OF_TERMINAL}?x=1#y`, "/ticket").href).toBe("https://gateway.example/workspaces/1/terminal/ticket");
    expect(siblingUrl("ws://127.0.0.1:8080/workspaces/1/terminal", "/diagnose").href).toBe(
      "http://127.0.0.1:8080/workspaces/1/terminal/diagnose",
    );
  });
});

describe("a request", () => {
  it("is given up when its caller does, and at its deadline all the same", async () => {
    const never = (_: unknown, { signal }: RequestInit = {}) =>
      new Promise<Response>((_, reject) => {
        signal?.addEventListener("abort", () => reject(signal.reason as Error));
      });
    const asking = (deadline: number, signal: AbortSignal) =>
      ask(siblingUrl(URL_OF_TERMINAL, "/ticket"), "POST", deadline, { fetch: never as typeof fetch, signal });
    const caller = new AbortController();
    const left = asking(60_000, caller.signal);
    caller.abort();
    await expect(left).rejects.toMatchObject({ name: "GatewayError", status: 0, why: "no-answer" });
    const late = asking(1, new AbortController().signal);
    await expect(late).rejects.toMatchObject({ name: "GatewayError", status: 0, why: "no-answer" });
  });
});

describe("refusal", () => {
  const origin = "https://canvas.example";

  it("reports why the gateway refuses the page", async () => {
    for (const [status, error, text] of [
      [403, "origin not allowed", /does not let pages of https:\/\/canvas\.example in/],
      [403, "host not allowed", /does not answer under this address/],
      [401, "missing workspace auth token", /not signed in/],
      [404, "workspace not found", /no such workspace/],
      [400, "odd", /The gateway answered: odd\./],
    ] as const) {
      const { fetch, asked } = answering(json(status, { error }));
      const found = await refusal(URL_OF_TERMINAL, { fetch, origin, headers: { Authorization: "Bearer x" } });
      expect(found).toMatchObject({ status, error });
      expect(found?.text).toMatch(text);
      expect(asked).toHaveLength(1);
      expect(asked[0]?.url).toBe("https://gateway.example/workspaces/1/terminal/ticket");
      expect(asked[0]?.init).toMatchObject({ method: "POST", headers: { Authorization: "Bearer x" } });
    }
    const bare = answering(new Response("Forbidden", { status: 403 }));
    expect((await refusal(URL_OF_TERMINAL, { fetch: bare.fetch, origin }))?.text).toBe("The gateway answered 403.");
  });

  it("is none where trying again may help", async () => {
    for (const answer of [json(200, { ticket: "t" }), json(503, { error: "draining" }), json(429, {}), new Response("", { status: 502 })]) {
      expect(await refusal(URL_OF_TERMINAL, { fetch: answering(answer).fetch, origin })).toBeNull();
    }
  });

  it("distinguishes a gateway that hides its answers from a missing one", async () => {
    const hidden = answering("nothing", new Response());
    const found = await refusal(URL_OF_TERMINAL, { fetch: hidden.fetch, origin });
    expect(found?.status).toBe(0);
    expect(found?.text).toContain(`add ${origin} to the gateway's allowed_origins`);
    expect(hidden.asked[1]).toMatchObject({ url: "https://gateway.example/health", init: { mode: "no-cors" } });
    expect(await refusal(URL_OF_TERMINAL, { fetch: answering("nothing", "nothing").fetch, origin })).toBeNull();
    // Of its own origin a browser hides nothing: no answer is none.
    const own = answering("nothing", new Response());
    expect(await refusal(URL_OF_TERMINAL, { fetch: own.fetch, origin: "https://gateway.example" })).toBeNull();
    expect(own.asked).toHaveLength(1);
  });
});

describe("a 401", () => {
  const said = (error: string, options: RequestOptions) =>
    refusal(URL_OF_TERMINAL, { fetch: answering(json(401, { error })).fetch, origin: "https://canvas.example", ...options });

  it("explains a missing sign-in, an expired one and a wrong token", async () => {
    const token = { headers: { authorization: "Bearer x" } };
    for (const [error, options, why, way] of [
      ["missing workspace auth token", {}, "not-signed-in", /not signed in\. Sign in/],
      ["missing workspace auth token", { wasSignedIn: true }, "sign-in-over", /over: .* Sign in again/],
      ["invalid workspace auth token", token, "wrong-token", /token opens nothing here.* new one/],
      // A token that is sent decides, whatever the cookie.
      ["invalid workspace auth token", { ...token, wasSignedIn: true }, "wrong-token", /token opens nothing here/],
      ["invalid workspace auth token", { wasSignedIn: true }, "not-theirs", /signed in, but .* Choose another workspace/],
      ["invalid token for claimed workspace", token, "wrong-claim", /X-Workspace-ID .* Leave that header out/],
      ["missing workspace ID", token, "no-workspace", /no such workspace/],
      // A proxy's own answer.
      ["", {}, "not-signed-in", /Sign in/],
    ] as const) {
      const refused = await said(error, options);
      expect(refused).toMatchObject({ status: 401, error, why });
      expect(refused?.text).toMatch(way);
    }
  });

  it("differs from other statuses", () => {
    const asker = { hasToken: false, wasSignedIn: true };
    for (const [status, error, why] of [
      [0, "", "no-answer"],
      [403, "origin not allowed", "origin"],
      [403, "host not allowed", "host"],
      [403, "not authorized to access this workspace's terminal", "other"],
      [404, "workspace not found", "no-workspace"],
      [404, "session not found", "other"],
      [429, "rate limit exceeded", "too-often"],
      [503, "draining", "other"],
    ] as const) {
      expect(whyOf(status, error, asker)).toBe(why);
    }
  });
});

describe("ticket", () => {
  it("is had by a request that shows who asks", async () => {
    const { fetch, asked } = answering(json(200, { ticket: "t-1", expires_in: 30 }));
    expect(await ticket(URL_OF_TERMINAL, { fetch, credentials: "include" })).toBe("t-1");
    expect(asked[0]).toMatchObject({
      url: "https://gateway.example/workspaces/1/terminal/ticket",
      init: { method: "POST", credentials: "include" },
    });
  });

  it("distinguishes passing errors from permanent ones", async () => {
    for (const [answer, isPassing] of [
      ["nothing" as const, true],
      [json(503, { error: "draining" }), true],
      [json(429, {}), true],
      [json(401, {}), false],
      [json(200, {}), false],
    ] as const) {
      const asking = ticket(URL_OF_TERMINAL, { fetch: answering(answer).fetch });
      await expect(asking).rejects.toMatchObject({ name: "GatewayError", isPassing });
    }
  });
});

describe("the open terminals", () => {
  const session = { id: "5f0c", workspace: "1", user: "ci", opened_at: "2026-01-31T12:00:00Z", age_secs: 73, input_bytes: 1, output_bytes: 2 };

  it("are listed", async () => {
    const { fetch, asked } = answering(json(200, [session]));
    expect(await sessions(URL_OF_TERMINAL, { fetch, credentials: "include" })).toEqual([session]);
    expect(asked[0]).toMatchObject({
      url: "https://gateway.example/workspaces/1/terminal/sessions",
      init: { method: "GET", credentials: "include" },
    });
    await expect(sessions(URL_OF_TERMINAL, { fetch: answering(json(200, {})).fetch })).rejects.toThrow(/cannot be read/);
    const refused = sessions(URL_OF_TERMINAL, { fetch: answering(json(404, { error: "workspace not found" })).fetch });
    await expect(refused).rejects.toMatchObject({ status: 404, why: "no-workspace" });
  });

  it("are ended, and one that is over is no error", async () => {
    const { fetch, asked } = answering(new Response(null, { status: 204 }));
    await endSession(URL_OF_TERMINAL, "5f0c/..", { fetch });
    expect(asked[0]).toMatchObject({
      url: "https://gateway.example/workspaces/1/terminal/sessions/5f0c%2F..",
      init: { method: "DELETE" },
    });
    await endSession(URL_OF_TERMINAL, "5f0c", { fetch: answering(json(404, { error: "session not found" })).fetch });
    for (const [answer, status] of [
      [json(404, { error: "workspace not found" }), 404],
      [json(401, { error: "missing workspace auth token" }), 401],
      ["nothing" as const, 0],
    ] as const) {
      await expect(endSession(URL_OF_TERMINAL, "5f0c", { fetch: answering(answer).fetch })).rejects.toMatchObject({ status });
    }
  });
});

describe("diagnose", () => {
  const report = { ok: false, first_failure: "upgrade", steps: [{ name: "upgrade", outcome: "failed", fixes: [] }] };

  it("gives the report, credentials and all", async () => {
    const { fetch, asked } = answering(json(200, report));
    const given = await diagnose(URL_OF_TERMINAL, { fetch, headers: { Authorization: "Bearer x" }, credentials: "include" });
    expect(given).toEqual(report);
    expect(asked[0]?.url).toBe("https://gateway.example/workspaces/1/terminal/diagnose");
    expect(asked[0]?.init).toMatchObject({ credentials: "include", headers: { Authorization: "Bearer x" } });
  });

  it("says why there is none", async () => {
    for (const [answer, status, message] of [
      [json(501, { error: "this gateway has no way to diagnose such a workspace" }), 501, /no way to diagnose/],
      [json(429, { error: "too many diagnoses are under way" }), 429, /too many diagnoses/],
      [json(401, { error: "missing workspace auth token" }), 401, /not signed in/],
      [new Response("<html>", { status: 200 }), 200, /cannot be read/],
      [json(200, { ok: true }), 200, /cannot be read/],
      ["nothing" as const, 0, /does not answer/],
    ] as const) {
      const asking = diagnose(URL_OF_TERMINAL, { fetch: answering(answer).fetch });
      await expect(asking).rejects.toThrow(message);
      await expect(asking).rejects.toBeInstanceOf(GatewayError);
      await expect(asking).rejects.toMatchObject({ status });
    }
  });
});
