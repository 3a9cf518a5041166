"""Tokens on their way from the engine's thread to a request's: the first at once, then several in a hand."""

from __future__ import annotations

import threading
import time

import pytest
from engines.outbox import STREAM_SECONDS, WHOLE_SECONDS, Outbox
from sampling import parse_sampling

_LONG = 3600.0


def test_the_first_goes_at_once_and_the_last_takes_all_others_along() -> None:
    outbox: Outbox[int] = Outbox(_LONG)
    outbox.put(1)
    assert outbox.take(_LONG) == [1]
    outbox.put(2)
    outbox.put(3)
    assert outbox.take(0.0) == []
    outbox.put(4, at_once=True)
    assert outbox.take(_LONG) == [2, 3, 4]


def test_a_slow_reader_finds_everything_in_one_hand() -> None:
    outbox: Outbox[int] = Outbox(0.0)
    for number in range(5):
        outbox.put(number)
    assert outbox.take(_LONG) == [0, 1, 2, 3, 4]


def test_a_token_without_a_next_one_is_not_kept_for_ever() -> None:
    """The engine may take long for the next token: prompts of others are read between two."""
    outbox: Outbox[int] = Outbox(0.001)
    outbox.put(1)
    outbox.put(2)
    found: list[int] = []
    while len(found) < 2:
        found += outbox.take(0.001)
    assert found == [1, 2]


def test_nothing_is_lost_or_turned_round_between_two_threads() -> None:
    outbox: Outbox[int] = Outbox(0.0001)
    count = 20_000

    def write() -> None:
        for number in range(count):
            outbox.put(number, at_once=number == count - 1)

    writer = threading.Thread(target=write)
    writer.start()
    found: list[int] = []
    while not found or found[-1] != count - 1:
        found += outbox.take(0.0)
    writer.join()
    assert found == list(range(count))


def test_it_waits_no_longer_than_told() -> None:
    outbox: Outbox[int] = Outbox(0.0)
    began = time.monotonic()
    assert outbox.take(0.01) == []
    assert time.monotonic() - began >= 0.01


@pytest.mark.parametrize(
    ("asked", "seconds"), [(b"{}", STREAM_SECONDS), (b'{"stream": false}', WHOLE_SECONDS)]
)
def test_who_does_not_read_along_gets_larger_hands(asked: bytes, seconds: float) -> None:
    outbox: Outbox[int] = Outbox.of(parse_sampling(asked, 100))
    assert outbox.interval == seconds
