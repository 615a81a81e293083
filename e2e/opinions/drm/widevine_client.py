"""pywidevine as a client: our server must read its request, and it must accept our licence's signature.

widevine_client.py URL IDENTITY.bin KEY.pem TOKEN KID [tampered]
"""
import sys
import urllib.request
import uuid

from Crypto.PublicKey import RSA
from pywidevine.cdm import Cdm
from pywidevine.device import Device, DeviceTypes
from pywidevine.exceptions import SignatureMismatch
from pywidevine.pssh import PSSH

url, identity, key, token, kid, *rest = sys.argv[1:]
with open(identity, "rb") as f:
    client_id = f.read()
with open(key) as f:
    private_key = RSA.import_key(f.read()).export_key("DER")
device = Device(type_=DeviceTypes.ANDROID, security_level=3, flags={}, private_key=private_key, client_id=client_id)
cdm = Cdm.from_device(device)
session = cdm.open()
pssh = PSSH.new(key_ids=[uuid.UUID(kid)], system_id=PSSH.SystemId.Widevine)
challenge = cdm.get_license_challenge(session, pssh, privacy_mode=False)
request = urllib.request.Request(url, challenge, {"authorization": f"Bearer {token}", "content-type": "application/octet-stream"})
with urllib.request.urlopen(request) as answer:
    licence = bytearray(answer.read())
if rest == ["tampered"]:
    # In a key: HMAC covers the whole message.
    licence[150] ^= 1
try:
    cdm.parse_license(session, bytes(licence))
except SignatureMismatch:
    print("signature refused")
    sys.exit()
except ValueError:
    # It goes on to open the keys, which are noise here: by then the signature was right.
    pass
print("signature accepted")
