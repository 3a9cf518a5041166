"""JSON logs on standard error, one object a line, with the request's id; never a customer's text or picture.

configure_logs("kefu-gateway")
log = structlog.get_logger()
log.info("listening", address="127.0.0.1:50051")
"""

from __future__ import annotations

import logging
import sys

import structlog


def configure_logs(service: str, level: str = "info") -> None:
    """Sets structlog up for the whole process; `level` is debug, info, warning or error."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.dict_tracebacks,
            _add_service(service),
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(
            logging.getLevelNamesMapping()[level.upper()]
        ),
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )


def _add_service(service: str) -> structlog.typing.Processor:
    def add(
        logger: object, method: str, event: structlog.typing.EventDict
    ) -> structlog.typing.EventDict:
        event["service"] = service
        return event

    return add
