"""The options of `kefu chat`, and the settings of a question that they make."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from kefu_client.cli import connection
from kefu_client.cli.attachments import Given
from kefu_client.errors import InputError
from kefu_client.question import Settings

DESCRIPTION = """\
Sends a question with pictures, streams the answer to stdout as it is written, then
tells what happened to the pictures, which rows of them the answer rests on, how sure
the model was, and how long each stage took. Without a question, on a terminal, it is
a chat window: /help there lists what can be done.
"""

EPILOGUE = """\
examples:
  kefu chat                                # a chat window; Ctrl-C stops an answer, Ctrl-D leaves
  kefu chat --session c-17                 # goes on with a conversation
  kefu chat --session c-17 --image order.png "这张呢?"
  kefu chat --upload u-5f3a… "多少钱?"      # a picture that `kefu upload` has sent before
  kefu chat --image refund.png "为什么被拒?"
  kefu chat -q --image a.png --image b.jpg "Which of these two is newer?" > answer.txt
  echo "How much did I pay?" | kefu chat --image order.png -
  kefu chat --json --schema fields.json --temperature 0 --image invoice.png "Read the fields"
  kefu chat --address unix:/run/kefu/gateway.sock "Hello"
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds everything that `kefu chat` takes."""
    parser.add_argument(
        "text",
        nargs="?",
        metavar="TEXT",
        help='the question; "-" reads it from stdin, and so does leaving it out in a pipe',
    )
    parser.add_argument(
        "--image",
        metavar="FILE",
        dest="pictures",
        type=Given,
        action="append",
        default=[],
        help="a picture or a document: JPEG, PNG, WebP, BMP or PDF, at most 20 MiB; may be given up to 10 times, in "
        "order; every page of a document counts as a picture",
    )
    parser.add_argument(
        "--upload",
        metavar="ID",
        dest="pictures",
        type=_given_upload,
        action="append",
        help="a picture that was sent before; `kefu upload` prints its id",
    )
    _add_picture_options(parser)
    _add_question_options(parser)
    _add_generation_options(parser)
    _add_output_options(parser)
    connection.add_options(parser)


def settings(options: argparse.Namespace) -> Settings:
    """What stands beside the parts. Raises InputError, OSError for the files it reads."""
    return Settings(
        session_id=options.session,
        request_id=options.request_id,
        model=options.model,
        scenario=options.scenario,
        temperature=options.temperature,
        max_tokens=options.max_tokens,
        top_p=options.top_p,
        seed=options.seed,
        stop=options.stop,
        # As it is: whether it is a schema that can be enforced is the model host's to say.
        json_schema="" if options.schema is None else _read(options.schema),
        context={} if options.context is None else _facts(options.context),
        debug=options.debug,
        language=options.language,
    )


def _add_picture_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("pictures")
    crop = group.add_mutually_exclusive_group()
    crop.add_argument(
        "--no-crop",
        dest="crop",
        action="store_const",
        const="forbid",
        default="auto",
        help="never cut off a status bar (default: cut where one is found with confidence)",
    )
    crop.add_argument(
        "--force-crop",
        dest="crop",
        action="store_const",
        const="force",
        help="cut the likeliest status bar also when unsure",
    )
    group.add_argument(
        "--elements", action="store_true", help="find and number the elements of the screen"
    )


def _add_question_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("question")
    group.add_argument("--model", metavar="NAME", default="", help="who answers; see `kefu models`")
    group.add_argument(
        "--scenario", metavar="NAME", default="", help="which prompt and rules apply"
    )
    group.add_argument(
        "--session", metavar="ID", default="", help="the conversation it belongs to (default: none)"
    )
    group.add_argument(
        "--request-id",
        metavar="ID",
        default="",
        help="the same id twice gives the same answer once",
    )
    group.add_argument(
        "--context", metavar="FILE", type=Path, help="JSON object: facts about customer or order"
    )
    group.add_argument(
        "--language", metavar="TAG", default="", help="of the answer, for example zh or en"
    )
    group.add_argument(
        "--timeout",
        metavar="SECONDS",
        type=seconds,
        help="most time for the whole call, repetitions included (default: 120)",
    )


def _add_generation_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("generation (default: what the model's card says)")
    group.add_argument(
        "--temperature", metavar="T", type=float, help="randomness, 0 to 2; 0: the likeliest token"
    )
    group.add_argument("--max-tokens", metavar="N", type=int, help="most tokens of the answer")
    group.add_argument("--top-p", metavar="P", type=float, help="nucleus sampling, above 0 to 1")
    group.add_argument("--seed", metavar="N", type=int, help="the same seed gives the same answer")
    group.add_argument(
        "--stop",
        metavar="TEXT",
        action="append",
        default=[],
        help="end the answer before this text; may be given up to 8 times",
    )
    group.add_argument(
        "--schema", metavar="FILE", type=Path, help="JSON schema that the answer must satisfy"
    )


def _add_output_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("output")
    form = group.add_mutually_exclusive_group()
    form.add_argument(
        "-q", "--quiet", action="store_true", help="the answer's text alone, without the report"
    )
    form.add_argument(
        "--json", action="store_true", help="the whole answer as one JSON document on stdout"
    )
    form.add_argument(
        "--json-lines",
        action="store_true",
        help="every event as it comes, one JSON document a line: picture, delta, answer or error",
    )
    group.add_argument(
        "--debug", action="store_true", help="ask the server for what helps to understand an answer"
    )


def _given_upload(upload_id: str) -> Given:
    return Given(upload_id, is_upload=True)


def seconds(text: str) -> float:
    """A time limit as argparse reads it."""
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    # Not `<= 0`: that would let "nan" pass.
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds above 0")
    return number


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise InputError(f"{path}: this is not UTF-8 text") from None


def _facts(path: Path) -> dict[str, Any]:
    try:
        facts = json.loads(_read(path))
    except json.JSONDecodeError as error:
        raise InputError(f"{path}: line {error.lineno}: {error.msg}") from None
    if not isinstance(facts, dict):
        raise InputError(f"{path}: context is a JSON object, like {{'level': 'gold'}}")
    return facts
