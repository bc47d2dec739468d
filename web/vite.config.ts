import { defineConfig } from "vite";

export default defineConfig({
  // The page is served from the gateway's root, and embedded in its binary.
  build: { target: "es2022", sourcemap: false, assetsInlineLimit: 0, modulePreload: { polyfill: false } },
  server: {
    // `npm run dev` with a running gateway: EICE_GATEWAY=http://127.0.0.1:PORT
    proxy: Object.fromEntries(
      ["/workspaces", "/auth"].map((path) => [
        path,
        { target: process.env.EICE_GATEWAY ?? "http://127.0.0.1:8080", ws: true },
      ]),
    ),
  },
});
