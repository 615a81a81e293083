"""The PyPI package cpix: reads a document, or makes one. cpix_check.py read FILE | make KID..."""
import base64
import struct
import sys
import uuid

import cpix

if sys.argv[1] == "read":
    with open(sys.argv[2], "rb") as f:
        document = cpix.parse(f.read())
    for key in document.content_keys:
        print("key", key.kid)
    for system in document.drm_systems:
        print("system", system.kid, system.system_id)
else:
    keys, systems = cpix.ContentKeyList(), cpix.DRMSystemList()
    for kid in sys.argv[2:]:
        keys.append(cpix.ContentKey(kid=kid, cek="AAECAwQFBgcICQoLDA0ODw=="))
        data = b"\x12\x10" + uuid.UUID(kid).bytes
        box = b"pssh\0\0\0\0" + uuid.UUID(cpix.WIDEVINE_SYSTEM_ID if isinstance(cpix.WIDEVINE_SYSTEM_ID, str) else str(cpix.WIDEVINE_SYSTEM_ID)).bytes
        box += struct.pack(">I", len(data)) + data
        pssh = base64.b64encode(struct.pack(">I", len(box) + 4) + box).decode()
        systems.append(cpix.DRMSystem(kid=kid, system_id=cpix.WIDEVINE_SYSTEM_ID, pssh=pssh))
    made = cpix.CPIX(content_keys=keys, drm_systems=systems, content_id="canary")
    text = made.pretty_print(xml_declaration=True)
    sys.stdout.write(text if isinstance(text, str) else text.decode())
