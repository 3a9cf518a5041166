"""What can be asked of `kefu`, and which exit code says how it went."""

from __future__ import annotations

import argparse
import os
import sys

from kefu_client.cli import chat, download, exits, health, models, session, upload, versions
from kefu_client.cli.advice import explain
from kefu_client.cli.console import Console
from kefu_client.errors import InputError, KefuCallError

_DESCRIPTION = """\
Asks Kefu about pictures: a photo or a screenshot goes to a vision-language model,
the answer comes back as it is written.
"""

_EPILOGUE = """\
examples:
  kefu chat --image refund.png "为什么被拒?"
  kefu chat --image front.jpg --image back.jpg --json "What is damaged?"
  kefu chat                                # a chat window
  kefu session show c-17
  kefu upload invoice.pdf
  kefu models
  kefu health

environment:
  KEFU_ADDRESS   where the gateway listens (default 127.0.0.1:50051)
  KEFU_TOKEN     API key or bearer token; KEFU_TOKEN_FILE: the file that it is in
  KEFU_TLS       1: connect with TLS; KEFU_CA: file of the authority to trust
  KEFU_CERT, KEFU_KEY   files of a client certificate and its key (mutual TLS)
  NO_COLOR       no colours, even on a terminal

exit codes:
  0    it worked
  1    the call failed (with --json, stdout still holds one JSON document, with "error")
  2    the command itself is wrong: unknown option, missing file, no question
  130  Ctrl-C; the call was cancelled at the server as well
  141  whoever read the output stopped reading
"""


def run(arguments: list[str]) -> int:
    """Runs one command line (without the program's name) and gives its exit code."""
    options = _parser().parse_args(arguments)
    console = Console(sys.stdout, sys.stderr, os.environ)
    try:
        code: int = options.run(options, console)
        console.out.flush()
    except KefuCallError as error:
        console.complain(*explain(error, getattr(options, "address", "")))
        return exits.FAILED
    except InputError as error:
        console.complain(str(error))
        return exits.USAGE
    except KeyboardInterrupt:
        console.complain("cancelled")
        return exits.INTERRUPTED
    except BrokenPipeError:
        # As Python's own documentation of SIGPIPE advises: what is left in the buffer is flushed once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return exits.READER_WENT_AWAY
    except OSError as error:
        if error.filename is None:
            raise
        console.complain(f"{error.filename}: {(error.strerror or str(error)).lower()}")
        return exits.USAGE
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="kefu",
        description=_DESCRIPTION,
        epilog=_EPILOGUE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for module in (chat, session, upload, download, models, health, versions):
        module.add_to(commands)
    return parser
