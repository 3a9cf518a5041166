"""The options that every command has for reaching the gateway."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from pathlib import Path

from kefu_client.channel import DEFAULT_ADDRESS, Tls
from kefu_client.client import KefuClient
from kefu_client.errors import InputError
from kefu_client.retries import OnRetry


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds --address, --token-file and the TLS options."""
    group = parser.add_argument_group("connection")
    group.add_argument(
        "--address",
        metavar="ADDRESS",
        default=os.environ.get("KEFU_ADDRESS") or DEFAULT_ADDRESS,
        help="HOST:PORT or unix:PATH of the gateway (default: KEFU_ADDRESS, else 127.0.0.1:50051)",
    )
    group.add_argument(
        "--token-file",
        metavar="FILE",
        type=Path,
        # Not the token itself: what stands in a command line can be read by everyone on the machine.
        help="file with an API key or bearer token, read before each call "
        "(default: KEFU_TOKEN_FILE, else the variable KEFU_TOKEN)",
    )
    group.add_argument(
        "--tls",
        action="store_true",
        default=os.environ.get("KEFU_TLS", "").lower() in ("1", "true", "yes", "on"),
        help="connect with TLS (implied by --ca and --cert; default: the variable KEFU_TLS)",
    )
    group.add_argument(
        "--ca",
        metavar="FILE",
        type=Path,
        default=_path("KEFU_CA"),
        help="authority to trust, PEM (default: KEFU_CA, else the public ones)",
    )
    group.add_argument(
        "--cert",
        metavar="FILE",
        type=Path,
        default=_path("KEFU_CERT"),
        help="client certificate for mutual TLS, PEM (default: KEFU_CERT)",
    )
    group.add_argument(
        "--key",
        metavar="FILE",
        type=Path,
        default=_path("KEFU_KEY"),
        help="its private key, PEM (default: KEFU_KEY)",
    )


def open_client(options: argparse.Namespace, on_retry: OnRetry | None = None) -> KefuClient:
    """The client that the options describe. Raises InputError, OSError."""
    tls = None
    if options.tls or options.ca or options.cert or options.key:
        tls = Tls(ca=options.ca, cert=options.cert, key=options.key)
    return KefuClient(options.address, tls=tls, token=_token(options), on_retry=on_retry)


def _path(variable: str) -> Path | None:
    value = os.environ.get(variable)
    return Path(value) if value else None


def _token(options: argparse.Namespace) -> str | Callable[[], str]:
    file: Path | None = options.token_file or _path("KEFU_TOKEN_FILE")
    if file is None:
        return os.environ.get("KEFU_TOKEN", "").strip()

    def read() -> str:
        """Before each call: a cluster puts a new token into the file before the old one expires."""
        try:
            return file.read_text(encoding="utf-8").strip()
        except UnicodeDecodeError:
            raise InputError(f"{file}: this is not a text file") from None

    read()  # a file that is not there is told of now
    return read
