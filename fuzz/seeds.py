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


def hexed(text):
    return bytes.fromhex(text.replace(" ", ""))


# A client's messages, as the golden conversation has them; the byte before each says that it is BINARY, TEXT (1), or
# padded to a giant (2).
TRANSCRIPT = json.loads((FIXTURES / "eicterm/transcript.json").read_text(encoding="utf-8"))
for number, step in enumerate(step for step in TRANSCRIPT if "client" in step):
    message = step["client"]
    data = b"\0" + hexed(message["binary"]) if "binary" in message else b"\1" + message["text"].encode()
    put("eicterm_frames", f"transcript-{number:02}", data)
for name, data in {
    "nothing": b"\0", "text-nothing": b"\1", "giant-input": b"\2\0", "giant-text": b"\3x", "giant-later": b"\2\x81",
    "unknown": b"\0\x04\x02", "short-resize": b"\0\x01\0\x50\0", "no-size": b"\0\x01\0\0\0\x18",
    "ack-of-everything": b"\0\x02" + b"\xff" * 8, "attach-list": b"\0\x10[80,24]",
    "attach-deep": b'\0\x10{"cols":80,"rows":24,"x":' + b"[" * 200,
    "attach-twice-cols": b'\0\x10{"cols":80,"rows":24,"cols":81}',
    "attach-all": b'\0\x10{"cols":132,"rows":43,"mode":"watch","name":"\xc3\xbcber","session":"s",'
                  b'"resume":{"token":"0123456789","out_off":18446744073709551615,"in_off":null}}',
    "attach-escape": b'\0\x10{"cols":80,"rows":24,"name":"\\u001b[2J"}',
    "attach-surrogate": b'\0\x10{"cols":80,"rows":24,"name":"\\ud800"}',
    "attach-float": b'\0\x10{"cols":80.0,"rows":2e1}',
}.items():
    put("eicterm_frames", name, data)

SAY, _, ACK, ACK_BACK, ACK_ANY, TYPE, TAKE, END_OF_INPUT = range(8)
for name, steps in {
    "conversation": [(SAY, 2, 0), (ACK, 2, 0), (TYPE, 2, 0), (TAKE, 2, 1), (TYPE, 13, 1)],
    "window": [(SAY, 65535, 0)] * 12 + [(ACK, 65535, 0), (SAY, 9, 0)],
    "ack-of-what-was-not-sent": [(SAY, 9, 0), (ACK, 10, 0)], "ack-back": [(SAY, 9, 0), (ACK, 9, 0), (ACK_BACK, 1, 0)],
    "ack-of-everything": [(SAY, 9, 0), (ACK_ANY, 0, 255)], "ack-of-nothing": [(ACK, 0, 0), (ACK_ANY, 0, 0)],
    "input-window": [(TYPE, 65535, 0)] * 17, "input-taken": [(TYPE, 65535, 0), (TAKE, 65535, 1)] * 20,
    "end-twice": [(TYPE, 1, 0), (END_OF_INPUT, 0, 0), (END_OF_INPUT, 0, 0)],
    "after-the-end": [(END_OF_INPUT, 0, 0), (TYPE, 1, 1)], "nothing-typed": [(TYPE, 0, 0), (TYPE, 0, 1)],
}.items():
    put("eicterm_flow", name, operations(0, *steps)[1:])


def frame(first, payload=b"", mask=b"\0\0\0\0", length=None):
    length = len(payload) if length is None else length
    size = bytes([0x80 | length]) if length < 126 else b"\xfe" + struct.pack(">H", length) if length < 65536 \
        else b"\xff" + struct.pack(">Q", length)
    return bytes([first]) + size + mask + bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))


# How many bytes are sent at a time, then the bytes.
for name, wire in {
    "typed": frame(0x81, b"whoami\r") + frame(0x82, b"\xff\0"), "empty": frame(0x81) + frame(0x82) + frame(0x81, b"x"),
    "masked": frame(0x81, b"echo \xe2\x82\xac\r", b"\x37\xfa\x21\x3d"),
    "fragments": frame(1, b"\xe2\x82") + frame(0x89, b"alive?") + frame(0, b"\xac") + frame(0x80, b"!"),
    "paste": frame(0x82, b"x" * 1000), "giant": frame(0x82, b"x" * 1001), "giant-head": frame(0x82, length=2 ** 63 - 1),
    "giant-in-fragments": frame(2, b"x" * 600) + frame(0x80, b"x" * 600), "endless": frame(2, b"x") + frame(0, b"x") * 20,
    "ping-pong": frame(0x89, b"a") + frame(0x8A, b"b") + frame(0x81, b"c"), "long-ping": frame(0x89, b"x" * 126),
    "cut-ping": frame(0x09, b"x"), "nothing-to-go-on-with": frame(0x80, b"x"), "within": frame(1, b"a") + frame(0x81, b"b"),
    "no-text": frame(0x81, b"a\xff"), "no-text-in-fragments": frame(1, b"\xe2\x82") + frame(0x80, b"x"),
    "bits": frame(0xC1, b"x"), "kind": frame(0x83, b"x"), "not-masked": b"\x81\x01x",
    "leave": frame(0x81, b"exit\r") + frame(0x88, b"\x03\xe8bye"), "after-leaving": frame(0x88) + frame(0x81, b"x"),
    "close-code": frame(0x88, b"\x03\xed"), "close-byte": frame(0x88, b"\x03"), "close-text": frame(0x88, b"\x03\xe8\xff"),
    "cut-head": frame(0x82, b"x" * 200)[:3], "cut-body": frame(0x81, b"a") + frame(0x81, b"bcd")[:-1],
}.items():
    put("legacy", name, bytes([7]) + wire)

OPENS = "host:acme.example\nauthorization:Bearer the-one-token-that-opens-it\n"
for number, (name, lines) in enumerate({
    "bearer": OPENS, "page": OPENS + "origin:http://acme.example\n", "foreign": OPENS + "origin:http://evil.test\n",
    "null": OPENS + "origin:null\n", "two-origins": OPENS + "origin:http://acme.example\norigin:http://acme.example\n",
    "two-hosts": OPENS + "host:acme.example\n", "other-host": OPENS.replace("acme.example", "127.0.0.1:8080"),
    "port": OPENS.replace("acme.example", "acme.example:80"), "upper": OPENS.replace("acme", "ACME"),
    "lower-bearer": OPENS.replace("Bearer", "bearer"), "basic": OPENS.replace("Bearer", "Basic"),
    "blanks": OPENS.replace("Bearer ", "Bearer \t  "), "two-tokens": OPENS + "authorization:Bearer x\n",
    "cookie": "host:acme.example\norigin:http://acme.example\ncookie:a=b; eice-session-80=" + "0" * 64 + "; c\n",
    "ticket": "host:acme.example\norigin:http://acme.example\nsec-websocket-protocol:eicterm.v1, ticket." + "0" * 64 + "\n",
    "tickets": OPENS + "sec-websocket-protocol:ticket.,ticket.x\nsec-websocket-protocol: ticket.y ,\n",
    "claim": OPENS + "x-workspace-id:1a1b2c3d-4e5f-4071-8293-a4b5c6d7e8f9\n", "claim-odd": OPENS + "x-workspace-id:\xff'--\n",
    "forwarded": OPENS + "x-forwarded-for:192.0.2.9, [2001:db8::1]:80\n", "forwarded-odd": OPENS + "x-forwarded-for:,,unknown\n",
    "forwarded-twice": OPENS + "x-forwarded-for:192.0.2.9\nx-forwarded-for:192.0.2.8,\n",
    "upgrade": OPENS + "connection:upgrade\nupgrade:websocket\nsec-websocket-version:13\nsec-websocket-key:AAAAAAAAAAAAAAAAAAAAAA==\n",
    "tenant": OPENS + "x-molecule-org-id:acme\nfly-replay-src:instance=1;state=acme\nreferer:http://acme.example/\n",
}.items()):
    put("headers", name, bytes([number]) + lines.encode("latin-1"))
