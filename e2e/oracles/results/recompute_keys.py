"""The folder of keys as a KMS for pyarrow (docs/results.md)."""

import base64
import os

import pyarrow.parquet.encryption as pe
from cryptography.hazmat.primitives.ciphers.aead import AESGCM


def client(folder):
    class Keys(pe.KmsClient):
        def __init__(self, connection):
            super().__init__()

        def key(self, name):
            with open(os.path.join(folder, name)) as file:
                return AESGCM(base64.b64decode(file.read()))

        def wrap_key(self, key, name):
            nonce = os.urandom(12)
            return base64.b64encode(nonce + self.key(name).encrypt(nonce, key, name.encode()))

        def unwrap_key(self, wrapped, name):
            sealed = base64.b64decode(wrapped)
            return self.key(name).decrypt(sealed[:12], sealed[12:], name.encode())

    return Keys
