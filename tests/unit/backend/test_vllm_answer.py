"""vLLM's deltas become the contract's chunks: whole characters, exact counts, no stop string, no end token."""

from __future__ import annotations

from engines.base import Chunk, Sampling
from engines.vllm.answer import Answer, Delta
from hypothesis import given
from hypothesis import strategies as st

END = 256


class Bytes:
    """Token ids are bytes; 256 is a control token."""

    def raw(self, token_id: int) -> bytes:
        return bytes([token_id]) if token_id < 256 else b""


def written(text: str, cuts: list[int], finish: str = "length", **sampling: object) -> list[Chunk]:
    """What leaves for a text that arrives in deltas of the sizes `cuts`, over and over."""
    answer = Answer(Sampling(**sampling), Bytes())  # type: ignore[arg-type]
    raw, out, sizes = text.encode(), [], iter(cuts * (len(text.encode()) + 1))
    while raw and not answer.closed:
        size = next(sizes)
        part, raw = raw[:size], raw[size:]
        chunk = answer.take(Delta(tuple(part), (-0.5,) * len(part)))
        if chunk is not None:
            out.append(chunk)
    reason = "stop" if answer.closed else finish
    if reason == "stop" and not answer.closed:
        assert answer.take(Delta((END,), (-0.1,), "stop")) is None
    out.append(answer.finish(reason, (5, 70)))
    return out


@given(st.text(max_size=30), st.lists(st.integers(1, 9), min_size=1, max_size=4))
def test_every_token_leaves_once_with_its_text(text: str, cuts: list[int]) -> None:
    chunks = written(text, cuts)
    assert "".join(c.text for c in chunks) == text
    ids = [i for c in chunks for i in c.token_ids]
    assert bytes(ids) == text.encode()
    assert sum(len(c.logprobs) for c in chunks) == len(ids)
    assert [c.finish_reason for c in chunks] == [""] * (len(chunks) - 1) + ["length"]
    usage = chunks[-1].usage
    assert usage is not None
    assert (usage.text, usage.visual, usage.completion) == (5, 70, len(ids))


def test_the_end_token_is_no_part_of_the_answer() -> None:
    chunks = written("好", [3], finish="stop")
    assert [i for c in chunks for i in c.token_ids] == list("好".encode())
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion == 3


@given(st.lists(st.integers(1, 5), min_size=1, max_size=3))
def test_a_stop_string_over_several_deltas(cuts: list[int]) -> None:
    chunks = written("one two three", cuts, stop=("two",))
    assert "".join(c.text for c in chunks) == "one "
    assert chunks[-1].finish_reason == "stop"


def test_half_a_character_is_never_sent() -> None:
    answer = Answer(Sampling(), Bytes())
    chunk = answer.take(Delta(tuple("退".encode()[:2]), (-1.0, -1.0)))
    last = answer.finish("cancelled", (1, 0))
    assert (chunk.text if chunk else "") + last.text == ""
    assert last.usage is not None
    assert last.usage.completion == len((chunk.token_ids if chunk else ()) + last.token_ids)


def test_logprobs_can_be_left_out_and_are_never_above_nought() -> None:
    answer = Answer(Sampling(logprobs=False), Bytes())
    chunk = answer.take(Delta((65,), ()))
    assert chunk is not None
    assert chunk.logprobs == ()
    answer = Answer(Sampling(), Bytes())
    chunk = answer.take(Delta((65,), (1e-7,)))
    assert chunk is not None
    assert chunk.logprobs == (0.0,)


def test_deltas_that_waited_become_one() -> None:
    joined = Delta((1,), (-1.0,)).then(Delta((2, 3), (-2.0, -3.0), "length"))
    assert joined == Delta((1, 2, 3), (-1.0, -2.0, -3.0), "length")
