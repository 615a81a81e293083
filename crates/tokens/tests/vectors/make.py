#!/usr/bin/env python3
"""Makes vectors.json with implementations that are not ours: akamai-edgeauth 0.3.2 (Akamai), botocore (AWS)
azure-storage-blob (Microsoft) and PyJWT, all from PyPI. The result is committed; run this only to change it:

    pip install akamai-edgeauth botocore rsa azure-storage-blob pyjwt cryptography
    openssl genrsa -traditional 2048 > cloudfront.pem   # a key for tests, used for nothing else
    python3 make.py
"""
import datetime, json, os, urllib.parse
import rsa
from akamai.edgeauth import EdgeAuth
from azure.storage.blob import ContainerSasPermissions, generate_container_sas
from botocore.signers import CloudFrontSigner

here = os.path.dirname(os.path.abspath(__file__))
START, END = 1_700_000_000, 1_700_003_600
KEY = "52a152a152a152a152a152a152a152a1"
vectors = {}

edge = dict(key=KEY, token_name="hdnts", end_time=END)
vectors["akamai"] = [
    {"case": "acl", "acl": ["/live/*"], "token": EdgeAuth(**edge).generate_acl_token("/live/*")},
    {"case": "two", "acl": ["/live/*", "/vod/*"], "start": START, "token": EdgeAuth(start_time=START, **edge).generate_acl_token(["/live/*", "/vod/*"])},
    {"case": "ip", "acl": ["/*"], "ip": "203.0.113.7", "salt": "pepper", "token": EdgeAuth(ip="203.0.113.7", salt="pepper", **edge).generate_acl_token("/*")},
    {"case": "url", "acl": [], "token": EdgeAuth(**edge).generate_url_token("/live/a/master.m3u8")},
]

with open(os.path.join(here, "cloudfront.pem"), "rb") as f:
    private = rsa.PrivateKey.load_pkcs1(f.read())
signer = CloudFrontSigner("K2JCJMDEHXQW5F", lambda message: rsa.sign(message, private, "SHA-1"))
when = lambda t: datetime.datetime.fromtimestamp(t, datetime.timezone.utc).replace(tzinfo=None)
url = "https://d111111abcdef8.cloudfront.net/live/a/master.m3u8"
vectors["cloudfront"] = []
for case, resource, start, ip in [
    ("url", url, None, None),
    ("wildcard", "https://d111111abcdef8.cloudfront.net/live/*", START, None),
    ("ip", "https://d111111abcdef8.cloudfront.net/live/*", START, "203.0.113.7/32"),
]:
    os.environ["TZ"] = "UTC"
    policy = signer.build_policy(resource, when(END), date_greater_than=start and when(start), ip_address=ip)
    signed = signer.generate_presigned_url(url, policy=policy)
    vectors["cloudfront"].append({"case": case, "resource": resource, "start": start, "ip": ip, "url": signed})

# The version that we sign for: the SDK's own is newer than many accounts' emulators and gateways.
from azure.storage.blob import _shared_access_signature
_shared_access_signature.X_MS_VERSION = "2022-11-02"
account_key = "Zm9vYmFyYmF6cXV4MDEyMzQ1Njc4OWFiY2RlZg=="
vectors["azure"] = []
for case, start, ip in [("plain", None, None), ("start", START, None), ("ip", START, "203.0.113.7")]:
    sas = generate_container_sas("account", "live", account_key=account_key, permission=ContainerSasPermissions(read=True),
        start=start and when(start), expiry=when(END), ip=ip)
    vectors["azure"].append({"case": case, "key": account_key, "start": start, "ip": ip,
        "query": dict(urllib.parse.parse_qsl(sas))})

import botocore.auth, botocore.awsrequest, botocore.credentials
from unittest import mock
vectors["sigv4"] = []
for case, method, url, body, session in [
    ("post", "POST", "https://k3y.execute-api.eu-west-1.amazonaws.com/prod/copyProtection", "<cpix/>", None),
    ("query", "GET", "https://k3y.execute-api.eu-west-1.amazonaws.com/prod/heart%20beat?b=2&a=1%2F1&a=0", "", None),
    ("session", "POST", "https://keys.example:8443/", "x", "c2Vzc2lvbg=="),
]:
    credentials = botocore.credentials.Credentials("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", session)
    request = botocore.awsrequest.AWSRequest(method, url, data=body)
    at = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.timezone.utc)
    with mock.patch("botocore.auth.get_current_datetime", return_value=at.replace(tzinfo=None)):
        botocore.auth.SigV4Auth(credentials, "execute-api", "eu-west-1").add_auth(request)
    vectors["sigv4"].append({"case": case, "method": method, "url": url, "body": body, "session": session,
        "authorization": request.headers["Authorization"], "date": request.headers["X-Amz-Date"]})

import jwt
with open(os.path.join(here, "cloudfront.pem")) as f:
    rsa_key = f.read()
claims = {"exp": END, "nbf": START, "com_key_id": "x"}
vectors["jwt"] = [
    {"algorithm": "HS256", "key": "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0", "token": jwt.encode(claims, b"secret-secret-secret-secret", "HS256", headers={"kid": "k"})},
    {"algorithm": "RS256", "key": rsa_key, "token": jwt.encode(claims, rsa_key, "RS256", headers={"kid": "k"})},
]

vectors["times"] = {"start": START, "end": END}
with open(os.path.join(here, "vectors.json"), "w") as f:
    json.dump(vectors, f, indent=1)
    f.write("\n")
