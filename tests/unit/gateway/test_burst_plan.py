"""The burst rules as a pure function."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kefu_gateway.domain.bursts import Arrival, BurstRules, Go, Idle, Wait, plan

RULES = BurstRules(window=0.5, hold=10.0, most=5)


def text(name: str, at: float, **fields: object) -> Arrival:
    return Arrival(request_id=name, at=at, has_text=True, **fields)  # type: ignore[arg-type]


def picture(name: str, at: float, **fields: object) -> Arrival:
    return Arrival(request_id=name, at=at, has_text=False, **fields)  # type: ignore[arg-type]


def test_question_goes_at_once() -> None:
    assert plan([text("q", 7.0)], 7.0, RULES) == Go(("q",))


def test_picture_waits_for_its_question_and_goes_with_it() -> None:
    assert plan([picture("p", 7.0)], 7.0, RULES) == Wait(7.5)
    assert plan([picture("p", 7.0), text("q", 7.3)], 7.3, RULES) == Go(("p", "q"))
    assert plan([picture("p", 7.0)], 7.5, RULES) == Go(("p",))


def test_window_counts_from_the_first_picture() -> None:
    """Else a customer who sends a picture every 400 ms would wait for ever."""
    assert plan([picture("a", 7.0), picture("b", 7.4)], 7.4, RULES) == Wait(7.5)


def test_more_to_come_holds_a_question_until_the_last_part_or_the_limit() -> None:
    held = text("q", 7.0, more_to_come=True)
    assert plan([held], 7.0, RULES) == Wait(17.0)
    assert plan([held, picture("p", 9.0)], 9.0, RULES) == Go(("q", "p"))
    assert plan([held], 17.0, RULES) == Go(("q",))


def test_other_model_closes_the_turn() -> None:
    held = picture("a", 7.0, kind="reader|")
    assert plan([held, text("b", 7.1, kind="qwen|")], 7.1, RULES) == Go(("a",))


def test_nothing_waits() -> None:
    assert plan([], 7.0, RULES) == Idle()


ARRIVALS = st.lists(
    st.tuples(st.floats(0, 2), st.booleans(), st.booleans(), st.sampled_from(["reader|", "qwen|"])),
    min_size=1,
    max_size=9,
)


@given(drawn=ARRIVALS, later=st.floats(0, 20))
def test_turn_is_a_beginning_of_what_waits_of_one_kind_and_at_most_five(
    drawn: list[tuple[float, bool, bool, str]], later: float
) -> None:
    at = 0.0
    arrivals = []
    for number, (gap, has_text, more, kind) in enumerate(drawn):
        at += gap
        arrivals.append(
            Arrival(request_id=str(number), at=at, has_text=has_text, more_to_come=more, kind=kind)
        )
    decision = plan(arrivals, at + later, RULES)
    if isinstance(decision, Go):
        count = len(decision.members)
        assert decision.members == tuple(str(number) for number in range(count))
        assert 1 <= count <= 5
        assert len({arrival.kind for arrival in arrivals[:count]}) == 1
    else:
        assert isinstance(decision, Wait)
        assert at + later < decision.until <= at + RULES.hold
