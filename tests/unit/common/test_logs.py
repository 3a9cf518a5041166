"""What gets into a log line, and what of a failure does not."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from typing import Any

import pytest
import structlog

from kefu_common.calls import begin, rename
from tests.fixtures.logs import recorded_lines

SECRET = "暗号Zq7Marker"
log = structlog.get_logger()


def fail(text: str) -> None:
    """With the customer's text in an argument, a local variable and the exceptions' words."""
    kept = {"text": text}
    try:
        {}[kept["text"]]
    except KeyError as error:
        raise ValueError(f"cannot read {text}") from error


def test_a_failure_is_logged_by_type_and_place_without_words_and_variables() -> None:
    """structlog's own renderer of tracebacks wrote every frame's variables: the question, the picture's first bytes."""
    with recorded_lines() as lines:
        try:
            fail(SECRET)
        except ValueError:
            log.exception("unexpected failure")
    assert SECRET not in lines.text
    (line,) = lines.named("unexpected failure")
    assert [failure["type"] for failure in line["exception"]] == ["ValueError", "KeyError"]
    assert line["exception"][0]["frames"][-1].endswith(" fail")


def test_a_group_of_failures_and_the_systems_own_words() -> None:
    failures: list[Exception] = []
    for action in (fail, lambda text: os.stat(f"/nowhere/{text}")):
        try:
            action(SECRET)
        except Exception as error:
            failures.append(error)
    with recorded_lines() as lines:
        log.error("both", exc_info=ExceptionGroup(SECRET, failures))
    assert SECRET not in lines.text
    (line,) = lines.named("both")
    inner = [member[0] for member in line["exception"][0]["group"]]
    assert {(one["type"], one["words"]) for one in inner} == {
        ("ValueError", ""),
        ("FileNotFoundError", "No such file or directory"),
    }


async def test_ids_are_those_of_the_call_and_not_of_its_neighbours() -> None:
    async def call(name: str, renamed: str) -> None:
        begin(name)
        await asyncio.sleep(0)
        log.info("first", of=name)
        rename(renamed)
        await asyncio.create_task(asyncio.sleep(0))
        log.info("second", of=name)

    with recorded_lines() as lines:
        await asyncio.gather(call("a", "a2"), call("b", "b2"))
    assert [(line["of"], line["request_id"]) for line in lines.named("first")] == [
        ("a", "a"),
        ("b", "b"),
    ]
    assert {(line["of"], line["request_id"]) for line in lines.named("second")} == {
        ("a", "a2"),
        ("b", "b2"),
    }


PROGRAM = f"""
import asyncio, logging, structlog, warnings
from kefu_common.logs import configure_logs
configure_logs("kefu-test", "debug", FORM)
structlog.get_logger().info("ours", count=1)
logging.getLogger("httpcore2.connection").debug("headers {SECRET}")
logging.getLogger("grpc").error("theirs\\n{SECRET}")
warnings.warn("a warning\\n{SECRET}")
async def boom(): raise ValueError("{SECRET}")
async def main():
    task = asyncio.create_task(boom())
    await asyncio.sleep(0.01)
asyncio.run(main())
"""


@pytest.mark.parametrize("form", ["json", "text", "auto"])
def test_lines_of_libraries_come_in_the_same_form_their_first_line_alone(form: str) -> None:
    program = PROGRAM.replace("FORM", repr(form))
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert not done.stdout
    assert SECRET not in done.stderr
    for words in ("ours", "theirs", "a warning", "Task exception was never retrieved", "boom"):
        assert words in done.stderr
    if form != "text":  # auto: standard error is no terminal here
        lines: list[dict[str, Any]] = [json.loads(line) for line in done.stderr.splitlines()]
        assert all(line["service"] == "kefu-test" and line["level"] for line in lines)
        assert lines[0]["count"] == 1
