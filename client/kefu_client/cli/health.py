"""`kefu health`: whether the gateway can answer, and which dependency is missing when it cannot."""

from __future__ import annotations

import argparse
from typing import Any

from kefu_client.cli import connection, exits
from kefu_client.cli.console import Console, inline
from kefu_client.cli.table import table
from kefu_client.client import Health, KefuClient
from kefu_client.errors import KefuCallError

# What a gateway tells of itself, in the order in which a person wants to know.
SERVICES = {
    "": "the gateway as a whole",
    "kefu.chat.v1.ChatService": "questions",
    "kefu.dependency.triton": "the model server",
    "kefu.dependency.preprocess": "the picture sidecar",
    "kefu.dependency.store": "the session store",
}
_MODEL = "kefu.dependency.model."

_WORDS = {
    Health.SERVING: "serving",
    Health.NOT_SERVING: "NOT SERVING",
    Health.UNKNOWN: "unknown",
    # Not every gateway tells of every part: an older one, or one that needs no sidecar.
    Health.SERVICE_UNKNOWN: "not told",
}


def add_to(commands: Any) -> None:
    """Adds the subcommand."""
    parser = commands.add_parser(
        "health",
        help="say whether the gateway can answer, and what is missing",
        description="Exit code 0 when the gateway as a whole is serving, else 1.",
    )
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")
    connection.add_options(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace, console: Console) -> int:
    """Asks for each service; only the whole decides the exit code."""
    with connection.open_client(options) as client:
        found = {service: client.health(service) for service in SERVICES}
        models = _models(client)
        found |= {service: client.health(service) for service in models}
    if options.json:
        console.json({service: state.name for service, state in found.items()})
    else:
        names = {**SERVICES, **models}
        rows = [_row(names[service], service, state, console) for service, state in found.items()]
        for line in table(rows):
            console.line(line)
    return exits.OK if found[""] is Health.SERVING else exits.FAILED


def _models(client: KefuClient) -> dict[str, str]:
    """The service of each hosted model, and what it is."""
    try:
        hosted = client.models().models
    except KefuCallError:
        # A gateway that cannot list its models is exactly one whose health is asked for: the rest is told all the same.
        return {}
    return {f"{_MODEL}{model.name}": f"the model {model.name}" for model in hosted}


def _row(name: str, service: str, state: Health, console: Console) -> list[str]:
    # The state stands last: colour codes would count as width before another column.
    word = _WORDS[state]
    return [
        inline(name),
        inline(service) or '""',
        word if state is Health.SERVING else console.warn(word),
    ]
