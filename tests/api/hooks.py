"""What the property tester does here that it does not do by itself."""

import itertools
import json
import os
import uuid

import schemathesis

TOKENS = itertools.cycle(os.environ["HMS_TOKENS"].split(","))
KEY = "Idempotency-Key"


@schemathesis.auth(refresh_interval=None)
class Callers:
    """Each request is that of the next session, since each has a limit of requests of its own."""

    def get(self, case, context):
        return next(TOKENS)

    def set(self, case, data, context):
        case.headers["Authorization"] = f"Bearer {data}"
        # The example of the document is a good key once; a key that is none stays as it is.
        if case.headers.get(KEY) == "8e03978e-40d5-43e8-bc93-6894a57f9324":
            case.headers[KEY] = str(uuid.uuid4())


@schemathesis.deserializer("application/x-ndjson")
def first_line(context, response):
    """Each line is one object, and the document describes one: the first stands for all, which must be JSON."""
    lines = [json.loads(line) for line in response.text.splitlines()]
    return lines[0] if lines else {}
