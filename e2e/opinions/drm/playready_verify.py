"""lxml's C14N and cryptography's ECDSA on a PlayReady answer: playready_verify.py ANSWER.xml ROOT.bin"""
import base64
import hashlib
import struct
import sys

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils
from lxml import etree

with open(sys.argv[1], "rb") as f:
    tree = etree.fromstring(f.read())
with open(sys.argv[2], "rb") as f:
    root = f.read()
find = lambda name: tree.find(f".//{{*}}{name}")
point = lambda key: ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), b"\x04" + key)


def verified(key, signature, data):
    r, s = (int.from_bytes(part, "big") for part in (signature[:32], signature[32:]))
    try:
        point(key).verify(utils.encode_dss_signature(r, s), data, ec.ECDSA(hashes.SHA256()))
        return True
    except InvalidSignature:
        return False


def certificates(chain):
    magic, _, _, _, count = struct.unpack(">4sIIII", chain[:20])
    assert magic == b"CHAI"
    at = 20
    for _ in range(count):
        _, _, length, signed = struct.unpack(">4sIII", chain[at : at + 16])
        cert, attributes, where = chain[at : at + length], {}, 16
        while where < length:
            _, tag, size = struct.unpack(">HHI", cert[where : where + 8])
            attributes[tag] = cert[where + 8 : where + size]
            where += size
        _, size = struct.unpack(">HH", attributes[8][:4])
        yield cert[:signed], attributes[6][12:76], attributes[8][4 : 4 + size], attributes[8][8 + size : 72 + size]
        at += length


chain = list(certificates(base64.b64decode(find("SigningCertificateChain").text)))
for n, (signed, _, signature, issuer) in enumerate(chain):
    expected = chain[n + 1][1] if n + 1 < len(chain) else root
    if issuer != expected or not verified(issuer, signature, signed):
        print(f"certificate {n} refused")
        sys.exit()
c14n = lambda element, exclusive: etree.tostring(element, method="c14n", exclusive=exclusive)
digest = base64.b64decode(find("DigestValue").text)
if not any(hashlib.sha256(c14n(find("LicenseResponse"), e)).digest() == digest for e in (True, False)):
    print("digest refused")
    sys.exit()
value = base64.b64decode(find("SignatureValue").text)
accepted = any(verified(chain[0][1], value, c14n(find("SignedInfo"), e)) for e in (True, False))
print("signature accepted" if accepted else "signature refused")
