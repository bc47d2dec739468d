// Another site: a static server with one page and the built client in it, as an application would ship it.

import { execFile } from "node:child_process";
import { createServer } from "node:http";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const web = fileURLToPath(new URL("..", import.meta.url));

/** Builds the client as `npm run build:lib` does, and serves it below `/lib/`, each answer with `headers`. */
export async function start(headers = {}) {
  const lib = await mkdtemp(join(tmpdir(), "eicterm-"));
  const tsc = join(web, "node_modules/typescript/bin/tsc");
  await promisify(execFile)(process.execPath, [tsc, "-p", join(web, "tsconfig.lib.json"), "--outDir", lib]);
  const server = createServer(async ({ url }, answer) => {
    if (!url.startsWith("/lib/")) {
      answer.writeHead(200, { ...headers, "content-type": "text/html" }).end("<!doctype html><title>elsewhere</title>");
      return;
    }
    try {
      const source = await readFile(join(lib, basename(url)));
      answer.writeHead(200, { ...headers, "content-type": "text/javascript" }).end(source);
    } catch {
      answer.writeHead(404, headers).end();
    }
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    port: server.address().port,
    stop: async () => {
      server.closeAllConnections();
      server.close();
      await rm(lib, { recursive: true });
    },
  };
}
