"""Whether a document is OpenAPI, and whether answers are what it says they are.

openapi.py DOCUMENT [SCHEMA ANSWER]...
"""

import json
import sys

from jsonschema import Draft202012Validator, FormatChecker
from openapi_spec_validator import validate

document = json.load(open(sys.argv[1]))
validate(document)
rest = sys.argv[2:]
for schema, answer in zip(rest[::2], rest[1::2]):
    whole = {"$ref": f"#/components/schemas/{schema}", "components": document["components"]}
    Draft202012Validator(whole, format_checker=FormatChecker()).validate(json.load(open(answer)))
print("valid")
