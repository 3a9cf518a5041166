"""`kefu models`: what is hosted, and within which limits."""

from __future__ import annotations

import argparse
from typing import Any

from kefu.chat.v1.model_service_pb2 import Limits, Model, ModelState
from kefu_client.cli import connection, exits
from kefu_client.cli.console import Console, inline
from kefu_client.cli.documents import document
from kefu_client.cli.table import table


def add_to(commands: Any) -> None:
    """Adds the subcommand."""
    parser = commands.add_parser("models", help="list the hosted models and the server's limits")
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")
    connection.add_options(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace, console: Console) -> int:
    """Prints a table, or the whole response as JSON."""
    with connection.open_client(options) as client:
        response = client.models()
    if options.json:
        console.json(document(response))
        return exits.OK
    head = ["model", "state", "engine", "context", "pictures", "max pixels", "sees", "licence"]
    lines = table([head, *(_row(model) for model in response.models)], align="<<<>>><<")
    console.line(console.dim(lines[0]))
    for line, model in zip(lines[1:], response.models, strict=True):
        console.line(line)
        if model.description:
            console.line(console.dim(f"  {model.description}"))
        if model.advice:
            console.line(f"  {console.warn(inline(model.advice))}")
    if response.HasField("limits"):
        console.line()
        console.line(f"limits: {_limits(response.limits)}")
    return exits.OK


def _row(model: Model) -> list[str]:
    return [
        model.name + (" (default)" if model.is_default else ""),
        _state(model),
        model.engine,
        f"{model.context_tokens:,}",
        str(model.max_pictures),
        f"{model.max_pixels:,}",
        ", ".join(model.sees),
        model.licence,
    ]


def _state(model: Model) -> str:
    """The state, and for how long where that is what one wants to know."""
    name = ModelState.Name(model.state).removeprefix("MODEL_STATE_").lower()
    waits = model.state == ModelState.MODEL_STATE_LOADING and model.state_milliseconds
    return f"{name} for {model.state_milliseconds / 1000:.0f} s" if waits else name


def _limits(limits: Limits) -> str:
    return ", ".join(
        [
            f"{limits.picture_bytes / 2**20:g} MiB and {limits.picture_pixels:,} pixels a picture",
            f"{limits.pictures} pictures and {limits.parts} parts a question",
            f"{limits.message_bytes / 2**20:g} MiB a message",
            f"{limits.turn_milliseconds / 1000:g} s a turn",
            " ".join(limits.media_types),
        ]
    )
