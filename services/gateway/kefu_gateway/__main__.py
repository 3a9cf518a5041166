"""`python -m kefu_gateway`: reads the settings, opens the gateway, serves until a signal. `… keys new`: an API key."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys

from kefu_common.environment import SettingsError, describe, load
from kefu_common.errors import KefuError
from kefu_common.logs import configure_logs
from kefu_gateway import keys_command
from kefu_gateway.app import Gateway
from kefu_gateway.config import PREFIX, Settings
from kefu_gateway.domain.card import CardError


async def _serve(settings: Settings) -> None:
    async with Gateway.open(settings) as gateway:
        await gateway.run()


def main() -> int:
    """Exit codes: 0 stopped by a signal, 1 could not start, 2 wrong settings."""
    if sys.argv[1:2] == ["keys"]:
        return keys_command.run(sys.argv[2:])
    argparse.ArgumentParser(
        prog="python -m kefu_gateway",
        description="Kefu's gateway: the gRPC door through which services ask.\n"
        "`python -m kefu_gateway keys new` makes an API key for a tenant.",
        epilog="Settings, from the environment:\n" + describe(Settings),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    ).parse_args()
    try:
        settings = load(Settings, os.environ, prefix=PREFIX)
    except SettingsError as error:
        print(f"kefu_gateway: wrong settings:\n{error}", file=sys.stderr)
        return 2
    configure_logs("kefu-gateway", settings.log_level, settings.log_form)
    try:
        asyncio.run(_serve(settings))
    except SettingsError as error:
        print(f"kefu_gateway: wrong settings:\n{error}", file=sys.stderr)
        return 2
    except (CardError, KefuError, RuntimeError, ValueError, OSError) as error:
        print(f"kefu_gateway: cannot start: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
