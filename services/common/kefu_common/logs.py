"""Logs on standard error: JSON, one object a line; readable lines on a terminal. Never a customer's text or picture.

    configure_logs("kefu-gateway", "info")
    log = structlog.get_logger()
    log.info("listening", address="127.0.0.1:50051")

A failure is logged by its type and where it happened. Its words are not: they are somebody else's sentence around
whatever was being worked on. Only what the system says of files and sockets (OSError) is kept. What libraries log
comes out in the same form, their first line alone.
"""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Iterator
from typing import Any

import structlog
from structlog.tracebacks import ExceptionDictTransformer

from kefu_common.calls import current_span, request_id

FORMS = ("auto", "json", "text")
_MOST_FRAMES = 20
_MOST_CHARACTERS = 300
# Names, paths and headers of requests pass through these at lower levels, whatever ours is.
_LIBRARIES_LEVEL = logging.WARNING

# Neither values of variables nor, below, the exception's words.
_frames = ExceptionDictTransformer(show_locals=False, max_frames=_MOST_FRAMES)


def configure_logs(service: str, level: str = "info", form: str = "auto") -> None:
    """Sets logs up for the whole process. `level`: debug, info, warning or error; `form`: json, text, or auto (text on
    a terminal, else json)."""
    text = form == "text" or (form == "auto" and sys.stderr.isatty())
    shared = processors(service, text=text)
    renderer: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
        if text
        else structlog.processors.JSONRenderer(ensure_ascii=False)
    )
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(
            logging.getLevelNamesMapping()[level.upper()]
        ),
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *shared],
            processors=[
                _first_line,
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                renderer,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(_LIBRARIES_LEVEL)
    logging.captureWarnings(True)
    warnings.simplefilter("default", ResourceWarning)


Event = structlog.typing.EventDict


def processors(service: str, *, text: bool = False) -> list[structlog.typing.Processor]:
    """What every line goes through, all but the last: the one that writes it out."""
    return [
        _add_ids,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _failure_as_text if text else _failure,
        _add_service(service),
    ]


def _failure(logger: object, method: str, event: Event) -> Event:
    """`exc_info` becomes `exception`: a list of failures, each caused by the next, with type and frames."""
    info = event.pop("exc_info", None)
    if not info:
        return event
    if isinstance(info, BaseException):
        info = (type(info), info, info.__traceback__)
    elif not isinstance(info, tuple):
        info = sys.exc_info()
    if info[0] is None:
        return event
    event["exception"] = _told(_frames(info), info[1])
    return event


def _told(stacks: list[dict[str, Any]], failure: BaseException | None) -> list[dict[str, Any]]:
    """A failure, then its cause, and so on; of a group also those in it."""
    found = []
    for stack in stacks:
        one: dict[str, Any] = {
            "type": stack["exc_type"],
            "words": _words_of(failure),
            "frames": [
                f"{frame['filename']}:{frame['lineno']} {frame['name']}"
                for frame in stack["frames"]
            ],
        }
        inner = failure.exceptions if isinstance(failure, BaseExceptionGroup) else ()
        if inner:
            one["group"] = [
                _told(each, member)
                for each, member in zip(stack["exceptions"], inner, strict=False)
            ]
        found.append(one)
        failure = failure and (failure.__cause__ or failure.__context__)
    return found


def _failure_as_text(logger: object, method: str, event: Event) -> Event:
    found = _failure(logger, method, event).get("exception")
    if isinstance(found, list):
        event["exception"] = "\n".join(_lines(found))
    return event


def _lines(failures: list[dict[str, Any]]) -> Iterator[str]:
    for failure in failures:
        yield f"{failure['type']} {failure['words']}".rstrip()
        yield from (f"  {frame}" for frame in failure["frames"])
        for member in failure.get("group", ()):
            yield from _lines(member)


def _words_of(failure: BaseException | None) -> str:
    return failure.strerror or "" if isinstance(failure, OSError) else ""


def _first_line(logger: object, method: str, event: Event) -> Event:
    """asyncio, for one, goes on with the failed task's repr."""
    first = str(event.get("event", "")).strip().partition("\n")[0]
    event["event"] = first[:_MOST_CHARACTERS]
    return event


def _add_ids(logger: object, method: str, event: Event) -> Event:
    """Of the call that the line belongs to, whoever wrote it."""
    if known := request_id():
        event.setdefault("request_id", known)
    span = current_span.get()
    if span is not None:
        event["trace_id"] = span.trace_id
    return event


def _add_service(service: str) -> structlog.typing.Processor:
    def add(logger: object, method: str, event: Event) -> Event:
        event["service"] = service
        return event

    return add
