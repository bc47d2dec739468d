#!/usr/bin/env python3
"""Writes fuzz/seeds from the fixtures: one small input of each kind for each target."""

import json
import pathlib
import struct

HERE = pathlib.Path(__file__).parent
FIXTURES = HERE.parent / "fixtures"


def put(target, name, data):
    path = HERE / "seeds" / target / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data if isinstance(data, bytes) else data.encode())


for path in sorted((FIXTURES / "sigv4").glob("*.json")):
    vector = json.loads(path.read_text(encoding="utf-8"))
    if vector["form"] == "query":
        target = vector["url"].split(vector["host"], 1)[1]
        put("verify", path.stem, f"GET {target}\nHost:{vector['host']}\n")
        if not path.stem.startswith("token-"):
            put("params", path.stem, target.split("?", 1)[1])
    else:
        query = f"?{vector['query']}" if vector["query"] else ""
        headers = "".join(f"{name}:{value}\n" for name, value in vector["headers"])
        put("verify", path.stem, f"{vector['method']} /{query}\n{headers}")
put("verify", "plus-and-lower-hex", "GET /openTunnel?a=+%2f%2F&b&=&c==\nhost: x\n")
put("verify", "odd-path", "GET //a/../openTunnel?X-Amz-Signature=%\nhost: x\n")
put("params", "duplicate", "instanceConnectEndpointId=eice-1&remotePort=22&remotePort=22&privateIpAddress=::1")
put("params", "lower-hex", "instanceConnectEndpointId=eice%2d1&remotePort=%32%32&privateIpAddress=fd00%3a%3a1")

for answer in json.loads((FIXTURES / "handshake/responses.json").read_text(encoding="utf-8")):
    headers = "".join(f"{name}:{value}\n" for name, value in answer["headers"]) or "x:\n"
    put("handshake", answer["name"], struct.pack(">H", answer["status"]) + f"{headers}\n{answer['body']}".encode())

for name, text in {
    "instance": "i-0123456789abcdef0", "endpoint": "eice-0123456789abcdef0", "port": "3389", "duration": "3600",
    "moment": "20280229T235959Z", "authority": "eice-1.example.com:9443", "ipv6": "[::1]:8443", "default-port": "a:443",
}.items():
    put("ids", name, text)

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ root@ip-10-0-1-23"
KEYS = f"-----BEGIN SSH HOST KEY KEYS-----\r\n{KEY}\r\n-----END SSH HOST KEY KEYS-----\r\n"
FINGERPRINTS = "".join(f"ec2: {line}\r\n" for line in (
    "-----BEGIN SSH HOST KEY FINGERPRINTS-----",
    "256 SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA root@ip-10-0-1-23 (ED25519)",
    "-----END SSH HOST KEY FINGERPRINTS-----",
))
BOOT = "[    0.000000] Linux version 6.1.0\r\n"
for name, text in {
    "keys": KEYS, "fingerprints": FINGERPRINTS, "both": BOOT + FINGERPRINTS + KEYS,
    "two-boots": BOOT + FINGERPRINTS + KEYS + BOOT + KEYS, "cut-begin": KEYS[20:], "cut-end": KEYS[:-20],
    "escapes": KEYS.replace("ssh", "\x1b[1mssh").replace("root", "\x1b]0;x\x07root"),
    "prefixed": KEYS.replace("ssh-", "<14>Nov 24 08:00:00 cloud-init: ssh-").replace("\r\n", "\n[ 9.1] noise\n"),
    "broken-key": KEYS.replace("IJdD", "IJ\r\ndD"),
}.items():
    put("console", name, text)


def operations(first, *steps):
    return bytes([first]) + b"".join(struct.pack(">BHB", what, length, flag) for what, length, flag in steps)


CONT, TEXT, BINARY, CLOSE, PING, PONG, EOF, WAIT, SEND, _, END, END_WITH = range(12)
put("tunnel", "both-ways", operations(0, (BINARY, 3, 2), (SEND, 65535, 0), (END, 0, 0)))
put("tunnel", "fragments", operations(0, (BINARY, 2, 1), (PING, 1, 0), (CONT, 2, 0), (CLOSE, 2, 2)))
put("tunnel", "broken-fragments", operations(0, (BINARY, 2, 1), (BINARY, 2, 0)))
put("tunnel", "text", operations(1, (TEXT, 5, 0)))
put("tunnel", "long-ping", operations(1, (PING, 126, 0)))
put("tunnel", "keepalive", operations(0, (WAIT, 25000, 0), (PONG, 8, 0), (WAIT, 25000, 0), (WAIT, 20000, 0)))
put("tunnel", "duration", operations(7, (WAIT, 50000, 0), (WAIT, 10000, 0), (END_WITH, 0, 0)))
put("tunnel", "stuck-close", operations(0, (SEND, 9, 2), (END, 0, 2), (WAIT, 1000, 2), (EOF, 0, 0)))
