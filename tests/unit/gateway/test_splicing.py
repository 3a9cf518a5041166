"""Words of several holders make one stream, or none."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kefu_gateway.domain.answer import Answer, Answered, Delta, FinishReason
from kefu_gateway.domain.mailboxes import Told
from kefu_gateway.domain.splicing import Interrupted, Splice


def answered(text: str) -> Answered:
    return Answered(
        Answer(
            request_id="r",
            session_id="s",
            text=text,
            finish_reason=FinishReason.STOP,
            model="m",
        )
    )


def heard(splice: Splice, *told: tuple[int, str | Answered]) -> str:
    """What a caller puts together of it all."""
    text = ""
    for fence, news in told:
        event = Delta(news, 1) if isinstance(news, str) else news
        text += "".join(e.text for e in splice.take(Told(fence, event)) if isinstance(e, Delta))
    return text


def test_the_store_has_the_answer_before_the_news_of_it_arrives() -> None:
    """Found by a rolling restart: a caller that had heard a part, asked the store after a quiet second and found the
    whole answer was told TURN_INTERRUPTED, though nothing had been interrupted."""
    assert heard(Splice(), (3, "one "), (0, answered("one two"))) == "one two"


def test_another_holder_says_the_same_words_again_and_goes_on() -> None:
    told = [(3, "one "), (3, "tw"), (4, "one"), (4, " t"), (4, "wo th"), (4, "ree")]
    assert heard(Splice(), *told, (4, answered("one two three"))) == "one two three"


@pytest.mark.parametrize("news", ["two", answered("two"), answered("o"), answered("")])
def test_other_words_are_an_interruption(news: str | Answered) -> None:
    with pytest.raises(Interrupted):
        heard(Splice(), (3, "one"), (4, news))


def test_whoever_heard_nothing_takes_any_holders_words() -> None:
    assert heard(Splice(), (4, "two"), (4, answered("two"))) == "two"
    assert heard(Splice(), (0, answered("two"))) == ""


@given(st.lists(st.text(max_size=3), max_size=8), st.integers(0, 8), st.data())
def test_wherever_the_holder_changes_the_text_is_whole(
    pieces: list[str], place: int, data: st.DataObject
) -> None:
    whole = "".join(pieces)
    first = [(3, piece) for piece in pieces[:place]]
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=4)))
    edges = [0, *cuts, len(whole)]
    again = [(4, whole[a:b]) for a, b in itertools.pairwise(edges)]
    told = heard(Splice(), *first, *again, (4, answered(whole)))
    assert told == whole
