"""Nothing leaves the gate that could still turn out wrong."""

from __future__ import annotations

from engines.gate import TextGate
from engines.reader.check import ClaimCheck
from engines.reader.claims import Grounds
from hypothesis import given
from hypothesis import strategies as st


def feed(gate: TextGate, raw: bytes, step: int = 1) -> list[str]:
    """Texts that the gate let through, with the last one; one token for each `step` bytes."""
    out = []
    for number, start in enumerate(range(0, len(raw), step)):
        chunk = gate.push(number, -0.1, raw[start : start + step])
        if chunk is not None:
            out.append(chunk.text)
        if gate.closed:
            break
    last = gate.finish()
    if last is not None:
        out.append(last.text)
    return out


@given(st.text(max_size=40), st.integers(1, 5))
def test_text_comes_whole_and_in_order(text: str, step: int) -> None:
    assert "".join(feed(TextGate(), text.encode(), step)) == text


@given(
    st.text("ab", max_size=30),
    st.lists(st.text("ab", min_size=1, max_size=4), max_size=3),
    st.integers(1, 3),
)
def test_a_stop_string_never_gets_out(text: str, stops: list[str], step: int) -> None:
    gate = TextGate(stops=tuple(stops))
    said = "".join(feed(gate, text.encode(), step))
    # The stop string that is complete first wins, as in any stream.
    ends = (n for n in range(len(text) + 1) if any(stop in text[:n] for stop in stops))
    first = next(ends, None)
    if first is None:
        assert said == text
        return
    begun = text[: min(text.index(stop) for stop in stops if stop in text[:first])]
    assert gate.stopped
    # With several bytes a token, a longer stop string may be complete in the same token and begin earlier.
    assert begun.startswith(said)
    assert step > 1 or said == begun


def test_tokens_and_logprobs_are_as_many() -> None:
    gate = TextGate(stops=("END",))
    ids, probabilities = [], []
    for number, byte in enumerate("退款 EN x END tail".encode()):
        chunk = gate.push(number, -0.5, bytes([byte]))
        if chunk is not None:
            ids += chunk.token_ids
            probabilities += chunk.logprobs
    last = gate.finish()
    if last is not None:
        ids += last.token_ids
        probabilities += last.logprobs
    assert ids == list(range(len(ids)))
    assert len(probabilities) == len(ids) == gate.tokens_sent == len("退款 EN x ".encode())


def test_an_unsupported_number_is_never_seen() -> None:
    gate = TextGate(checker=ClaimCheck(Grounds(["Total: 115.87"])))
    said = "".join(feed(gate, b"The total is 115.88, thanks."))
    assert said == "The total is "
    assert gate.unsupported is not None


def test_a_number_waits_for_its_end() -> None:
    """115.8 is on no page, 115.87 is: the digits must not be judged one by one."""
    gate = TextGate(checker=ClaimCheck(Grounds(["Total: 115.87"])))
    texts = feed(gate, b"It is 115.87. Please pay soon.")
    assert "".join(texts) == "It is 115.87. Please pay soon."
    assert not any(t.endswith(("1", "11", "115", "115.", "115.8")) for t in texts)


def test_held_text_can_be_dropped() -> None:
    gate = TextGate(hold=True)
    assert [gate.push(i, 0.0, bytes([b])) for i, b in enumerate(b"Yes, paid")] == [None] * 9
    assert gate.text == "Yes, paid"
    gate.drop()
    assert gate.finish() is None
