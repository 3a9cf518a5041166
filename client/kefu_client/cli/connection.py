"""The options that every command has for reaching the gateway."""

from __future__ import annotations

import argparse
import os
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
        help="file with an API key or bearer token (default: the variable KEFU_TOKEN)",
    )
    group.add_argument(
        "--tls", action="store_true", help="connect with TLS (implied by --ca and --cert)"
    )
    group.add_argument(
        "--ca", metavar="FILE", type=Path, help="authority to trust, PEM (default: public ones)"
    )
    group.add_argument(
        "--cert", metavar="FILE", type=Path, help="client certificate for mutual TLS, PEM"
    )
    group.add_argument("--key", metavar="FILE", type=Path, help="its private key, PEM")


def open_client(options: argparse.Namespace, on_retry: OnRetry | None = None) -> KefuClient:
    """The client that the options describe. Raises InputError, OSError."""
    tls = None
    if options.tls or options.ca or options.cert or options.key:
        tls = Tls(ca=options.ca, cert=options.cert, key=options.key)
    return KefuClient(options.address, tls=tls, token=_token(options), on_retry=on_retry)


def _token(options: argparse.Namespace) -> str:
    if options.token_file is None:
        return os.environ.get("KEFU_TOKEN", "").strip()
    try:
        token: str = options.token_file.read_text(encoding="utf-8").strip()
    except UnicodeDecodeError:
        raise InputError(f"{options.token_file}: this is not a text file") from None
    return token
