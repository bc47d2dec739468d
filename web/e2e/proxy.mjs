// A proxy between the browser and the gateway whose connections can be cut: what a network that breaks looks like.

import { createServer } from "node:http";
import { connect } from "node:net";

/** Starts one; `cut()` ends every tunnel through it, `refuse` has it let no new one through. */
export async function start() {
  const tunnels = new Set();
  const proxy = { refuse: false, port: 0, cut: () => tunnels.forEach((socket) => socket.destroy()) };
  const server = createServer((request, answer) => {
    const url = new URL(request.url);
    const upstream = connect(Number(url.port), url.hostname, () => {
      const head = [`${request.method} ${url.pathname}${url.search} HTTP/1.1`];
      for (let at = 0; at < request.rawHeaders.length; at += 2) {
        const name = request.rawHeaders[at];
        if (!/^(proxy-)?connection$/i.test(name)) head.push(`${name}: ${request.rawHeaders[at + 1]}`);
      }
      upstream.write(`${head.join("\r\n")}\r\nConnection: close\r\n\r\n`);
      // Not its end: a server may take that for the end of everything.
      request.pipe(upstream, { end: false });
      // The answer, unchanged.
      const socket = answer.socket;
      answer.detachSocket(socket);
      upstream.pipe(socket);
    });
    upstream.on("error", () => request.socket.destroy());
  });
  server.on("connect", (request, socket) => {
    if (proxy.refuse) {
      socket.destroy();
      return;
    }
    const [host, port] = request.url.split(":");
    const upstream = connect(Number(port), host, () => {
      socket.write("HTTP/1.1 200 OK\r\n\r\n");
      upstream.pipe(socket);
      socket.pipe(upstream);
    });
    for (const end of [socket, upstream]) {
      tunnels.add(end);
      end.on("error", () => undefined);
      end.on("close", () => {
        tunnels.delete(end);
        socket.destroy();
        upstream.destroy();
      });
    }
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  proxy.port = server.address().port;
  proxy.stop = () => {
    proxy.cut();
    server.closeAllConnections();
    server.close();
  };
  return proxy;
}
