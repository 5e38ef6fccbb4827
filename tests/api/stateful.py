"""What the property tester makes, and then goes on with along the links of the document."""

import itertools

import schemathesis

import hooks  # noqa: F401, the callers

COUNT = itertools.count(1)
# Without these there is nothing left to go on with.
KEPT = {"host": "asterra", "user": "admin", "app": "cigar"}

# A made-up body rarely names what is there: these make something each time.
MADE = {
    "apps_add": lambda n: {
        "key": f"made-{n}",
        "host": "asterra",
        "spec": {"git_url": "https://git.example/made.git"},
    },
    "apps_deploy": lambda n: {"branch": "main"},
    "hosts_add": lambda n: {"name": f"made-{n}", "address": "192.0.2.7"},
    "schedules_add": lambda n: {
        "script": "check_status",
        "target": {"hosts": ["asterra"]},
        "cron": "0 6 * * *",
    },
    "scripts_run": lambda n: {"target": {"hosts": ["asterra"]}},
    "tokens_create_token": lambda n: {"name": f"made {n}", "role": "viewer", "days": 1},
    "users_invite": lambda n: {"username": f"made-{n}", "role": "viewer", "scope": {"all": True}},
}


@schemathesis.hook
def filter_case(context, case):
    """Nothing is done to what the run itself stands on."""
    named = case.path_parameters or {}
    return case.method in ("GET", "HEAD") or not any(named.get(name) == kept for name, kept in KEPT.items())


@schemathesis.hook
def before_call(context, case, kwargs):
    make = MADE.get(case.operation.definition.raw.get("operationId"))
    if make and case.meta and case.meta.generation.mode.is_positive:
        case.body = make(next(COUNT))
