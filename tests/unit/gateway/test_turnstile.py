"""Requests of one session pass the door in their order, and who gives up holds up nobody."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack

from kefu_gateway.domain.session import SessionKey
from kefu_gateway.domain.turnstile import Ticket, Turnstile

KEY, OTHER = SessionKey("", "s"), SessionKey("", "t")


async def settle() -> None:
    """Lets every task that can run, run."""
    for _ in range(10):
        await asyncio.sleep(0)


def waiting(*tickets: Ticket) -> list[asyncio.Task[None]]:
    return [asyncio.create_task(ticket.turn()) for ticket in tickets]


async def test_each_waits_for_all_before_it_and_no_other_session_does() -> None:
    turnstile = Turnstile()
    with ExitStack() as stack:
        first, second, third = (stack.enter_context(turnstile.ticket(KEY)) for _ in range(3))
        other = stack.enter_context(turnstile.ticket(OTHER))
        turns = waiting(first, second, third, other)
        await settle()
        assert [turn.done() for turn in turns] == [True, False, False, True]
        first.passed()
        await settle()
        assert [turn.done() for turn in turns] == [True, True, False, True]
        second.passed()
        await asyncio.gather(*turns)


async def test_who_gives_up_is_passed_by_but_those_in_front_of_him_are_not() -> None:
    turnstile = Turnstile()
    with turnstile.ticket(KEY) as first, ExitStack() as stack:
        middle = ExitStack()
        middle.enter_context(turnstile.ticket(KEY))
        last = stack.enter_context(turnstile.ticket(KEY))
        middle.close()
        (turn,) = waiting(last)
        await settle()
        assert not turn.done()
        assert last.behind()
        first.passed()
        await turn
        assert not last.behind()


async def test_nothing_is_kept_of_a_queue_that_everybody_has_left() -> None:
    """In whatever order, also where somebody leaves who never asked whether it was his turn."""
    for order in ((0, 1, 2), (2, 1, 0), (1, 2, 0), (0, 2, 1)):
        turnstile = Turnstile()
        places = [ExitStack() for _ in range(3)]
        for place in places:
            place.enter_context(turnstile.ticket(KEY))
        for left, number in enumerate(order, start=1):
            places[number].close()
            if left < 3:
                with turnstile.ticket(KEY) as late:
                    assert late.behind(), "somebody is still in front"
        with turnstile.ticket(KEY) as late:
            assert not late.behind()
        assert not turnstile._last
