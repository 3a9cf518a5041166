"""The command as a process of its own: what only a real process, its signals and its pipes can show."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from kefu.chat.v1.answer_pb2 import Answer
from kefu.chat.v1.chat_service_pb2 import Delta
from tests.fakes.gateway import PATIENCE_S, FakeGateway, Gate

_COMMAND = [sys.executable, "-m", "kefu_client"]


@contextmanager
def _started(gateway: FakeGateway, *arguments: str, err: int) -> Iterator[subprocess.Popen[bytes]]:
    environ = {**os.environ, "KEFU_ADDRESS": gateway.address, "TERM": "xterm"}
    environ.pop("NO_COLOR", None)
    process = subprocess.Popen(
        [*_COMMAND, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=err,
        env=environ,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("form", ["-q", "--json", "--json-lines"])
def test_ctrl_c_cancels_the_call_at_the_server(gateway: FakeGateway, form: str) -> None:
    gate = Gate()
    gateway.will(Delta(text="因为"), gate, Answer(text="因为"))
    with _started(gateway, "chat", form, "hi", err=subprocess.PIPE) as process:
        assert process.stdout is not None
        if form == "-q":
            # It is on stdout while the answer is still being written.
            assert process.stdout.read(6).decode() == "因为"
        assert gate.reached.wait(PATIENCE_S)
        process.send_signal(signal.SIGINT)
        try:
            _, err = process.communicate(timeout=PATIENCE_S / 3)
        except subprocess.TimeoutExpired:
            # Once in some hundred runs an interrupt falls into a callback of gRPC's, where Python can only drop it.
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 130
    assert err.decode() == "kefu: cancelled\n"
    assert gateway.calls[0].cancelled.wait(PATIENCE_S)


def test_a_reader_that_goes_away_ends_the_command_and_the_call(gateway: FakeGateway) -> None:
    """`kefu chat … | head -1`: no traceback, and the model does not write for nobody."""
    first, second = Gate(), Gate()
    gateway.will(Delta(text="a\n"), first, Delta(text="b\n"), second, Answer(text="a\nb\n"))
    with _started(gateway, "chat", "-q", "hi", err=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.read(2) == b"a\n"
        process.stdout.close()
        first.open()
        assert process.wait(PATIENCE_S) == 141
        assert process.stderr is not None
        assert process.stderr.read() == b""
    assert gateway.calls[0].cancelled.wait(PATIENCE_S)


def test_a_person_sees_what_is_being_waited_for(gateway: FakeGateway) -> None:
    gate = Gate()
    gateway.will(gate, Delta(text="因为"), Answer(text="因为"))
    ours, theirs = pty.openpty()
    try:
        with _started(gateway, "chat", "-q", "hi", err=theirs) as process:
            shown = _read_until(ours, lambda text: "waiting for the first token … " in text)
            gate.open()
            out, _ = process.communicate(timeout=PATIENCE_S)
        shown += _read_until(ours, lambda text: text.endswith("\x1b[K"), shown)
    finally:
        os.close(ours)
        os.close(theirs)
    assert out.decode() == "因为\n"
    assert "\n" not in shown


def _read_until(terminal: int, enough: Callable[[str], bool], already: str = "") -> str:
    text = ""
    while not enough(already + text):
        text += os.read(terminal, 4096).decode()
    return text
