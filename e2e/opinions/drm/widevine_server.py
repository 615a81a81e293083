"""A Widevine licence server that shares no code with ours: our client must verify what it signs, and no other.

Prints its port and its root (PKCS #1 DER, Base64); answers /good and /tampered. widevine_server.py IDENTITY_KEY.pem
"""
import base64
import hashlib
import hmac
import http.server
import os
import struct
import sys
import time

from cryptography.hazmat.primitives import cmac, hashes, padding as block, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes


def varint(n):
    out = b""
    while n > 127:
        out, n = out + bytes([n & 127 | 128]), n >> 7
    return out + bytes([n])


def field(number, value):
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def parse(data):
    at, found = 0, {}

    def number():
        nonlocal at
        n = shift = 0
        while True:
            n |= (data[at] & 127) << shift
            at += 1
            if data[at - 1] < 128:
                return n
            shift += 7

    while at < len(data):
        tag = number()
        if tag & 7 == 0:
            value = number()
        else:
            length = number()
            value, at = data[at : at + length], at + length
        found.setdefault(tag >> 3, []).append(value)
    return found


PSS = padding.PSS(padding.MGF1(hashes.SHA1()), 20)
OAEP = padding.OAEP(padding.MGF1(hashes.SHA1()), hashes.SHA1(), None)
der = lambda key: key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.PKCS1)
root, service = (rsa.generate_private_key(65537, 2048) for _ in range(2))
with open(sys.argv[1], "rb") as f:
    device = serialization.load_pem_private_key(f.read(), None).public_key()
inner = field(1, 3) + field(2, b"python-service!!") + field(3, 1700000000) + field(4, der(service)) + field(7, b"python.example")
certificate = field(1, 5) + field(2, field(1, inner) + field(2, root.sign(inner, PSS, hashes.SHA1())))


def licence(body, tampered):
    message = parse(body)
    assert message[1] == [1], "a licence request"
    request = message[2][0]
    device.verify(message[3][0], request, PSS, hashes.SHA1())
    asked = parse(request)
    encrypted = parse(asked[8][0])
    assert encrypted[2] == [b"python-service!!"]
    key = service.decrypt(encrypted[5][0], OAEP)
    opened = Cipher(algorithms.AES(key), modes.CBC(encrypted[4][0])).decryptor().update(encrypted[3][0])
    unpad = block.PKCS7(128).unpadder()
    identity = parse(unpad.update(opened) + unpad.finalize())
    assert identity[1] == [1] and identity[2][0], "a client id"
    pssh = parse(parse(asked[2][0])[1][0])
    assert asked[3] == [1] and asked[6] == [21] and abs(asked[4][0] - time.time()) < 60
    keys = b"".join(
        field(3, field(1, kid) + field(2, os.urandom(16)) + field(3, os.urandom(32)) + field(4, 2) + field(5, 1))
        for kid in parse(pssh[1][0])[2]
    )
    policy = field(1, 1) + field(2, 0) + field(3, 0) + field(6, 3600)
    core = b"core message of a device"
    body = field(1, field(1, pssh[3][0]) + field(4, 1)) + field(2, policy) + keys + field(4, asked[4][0])
    session = os.urandom(16)
    derived = b""
    for n in (1, 2):
        c = cmac.CMAC(algorithms.AES(session))
        c.update(bytes([n]) + b"AUTHENTICATION\0" + request + struct.pack(">I", 512))
        derived += c.finalize()
    signature = hmac.new(derived, core + body, hashlib.sha256).digest()
    if tampered:
        body = body.replace(field(6, 3600), field(6, 3601))
    return field(1, 2) + field(2, body) + field(3, signature) + field(4, device.encrypt(session, OAEP)) + field(9, core)


class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        try:
            answer, status = certificate if body == b"\x08\x04" else licence(body, self.path == "/tampered"), 200
        except Exception as error:  # what can't be read is refused
            answer, status = repr(error).encode(), 400
        self.send_response(status)
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *args):
        pass


server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
print(server.server_port, base64.b64encode(der(root)).decode(), flush=True)
server.serve_forever()
