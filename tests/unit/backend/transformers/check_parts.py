"""The parts of the engine, each against a plain way to do the same."""

from __future__ import annotations

import random
import unicodedata
from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch
from engines.transformers.cache import RoomyCache
from engines.transformers.penalties import Penalties
from engines.transformers.sampler import Choice, Sampler, choice
from engines.transformers.vocabulary import Vocabulary, closed
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from tests.unit.backend.transformers.conftest import WEIGHTS

CPU = torch.device("cpu")


class TestSampler:
    def test_greedy_takes_the_best_that_is_allowed(self) -> None:
        logits = torch.tensor([[1.0, 5.0, 3.0, 4.0], [9.0, 1.0, 2.0, 3.0]])
        greedy = [choice(0, 1.0, None)] * 2
        tokens, logprobs = Sampler(4, [1], CPU).pick(logits, greedy, {})
        assert tokens == [3, 0]
        expected = torch.log_softmax(logits, dim=-1)[[0, 1], [3, 0]].tolist()
        assert logprobs == pytest.approx(expected)
        tokens, _ = Sampler(4, [1], CPU).pick(logits, greedy, {1: np.array([0b1100], np.int32)})
        assert tokens == [3, 3]

    def test_a_draw_has_the_distribution_that_was_asked_for(self) -> None:
        logits = torch.tensor([[2.0, 1.0, 0.0, -1.0]])
        sampler = Sampler(4, [], CPU)
        for temperature, top_p in ((1.0, 1.0), (0.5, 1.0), (1.5, 0.8), (1.0, 1e-6)):
            drawing = choice(temperature, top_p, seed=1)
            many = Counter(
                t
                for _ in range(40)
                for t in sampler.pick(logits.expand(100, -1), [drawing] * 100, {})[0]
            )
            p = torch.softmax(logits[0] / temperature, dim=-1)
            kept = torch.where(p.cumsum(0) - p < top_p, p, 0)
            for token, share in enumerate((kept / kept.sum()).tolist()):
                assert many[token] / 4000 == pytest.approx(share, abs=0.03)

    def test_the_best_few_are_what_is_drawn_from(self) -> None:
        """By the plain order: the k best, of them those that min_p lets pass, and of what they share the part top_p."""
        logits = torch.tensor([[2.0, 1.5, 1.0, 0.0, -1.0]])
        sampler = Sampler(5, [], CPU)
        for top_k, min_p, top_p in ((2, 0.0, 1.0), (0, 0.3, 1.0), (3, 0.5, 1.0), (3, 0.0, 0.8)):
            drawing = choice(1.0, top_p, 1, top_k, min_p)
            many = Counter(
                t
                for _ in range(40)
                for t in sampler.pick(logits.expand(100, -1), [drawing] * 100, {})[0]
            )
            p = torch.softmax(logits[0], dim=-1)
            p[top_k or 5 :] = 0
            p[p < min_p * p[0]] = 0
            p /= p.sum()
            kept = torch.where(p.cumsum(0) - p < top_p, p, 0)
            for token, share in enumerate((kept / kept.sum()).tolist()):
                assert many[token] / 4000 == pytest.approx(share, abs=0.03)
                assert share or not many[token]

    def test_one_of_the_best_one_is_greedy(self) -> None:
        logits = torch.randn(40, 50)
        sampler = Sampler(50, [3], CPU)
        best = sampler.pick(logits, [choice(0, 1.0, None)] * 40, {})[0]
        assert sampler.pick(logits, [choice(1.0, 1.0, n, 1) for n in range(40)], {})[0] == best
        assert sampler.pick(logits, [choice(1.0, 1.0, n, 0, 1.0) for n in range(40)], {})[0] == best

    @settings(max_examples=30, deadline=None)
    @given(st.integers(0, 2**40), st.floats(0.5, 3), st.floats(-2, 2))
    def test_penalties_are_the_publishers(
        self, seed: int, repetition: float, presence: float
    ) -> None:
        """Token by token: what the library's own processor makes of the same scores, and OpenAI's presence penalty."""
        from transformers import RepetitionPenaltyLogitsProcessor

        torch.manual_seed(seed % 1000)
        prompt, answer = torch.randint(0, 40, (9,)).tolist(), []
        # A picture's place that no model can write.
        penalties = Penalties([*prompt, 10_000], repetition=repetition, presence=presence)
        library = RepetitionPenaltyLogitsProcessor(repetition)
        for _ in range(5):
            scores = torch.randn(40) * 3
            scores[7] = -torch.inf
            expected = library(torch.tensor([[*prompt, *answer]]), scores[None].clone())[0]
            for token in set(answer):
                expected[token] -= presence
            assert torch.allclose(penalties.apply(scores, answer), expected)
            answer.append(int(expected.argmax()))

    def test_penalties_are_one_rows(self) -> None:
        logits = torch.tensor([[2.0, 1.9, 0.0], [2.0, 1.9, 0.0]])
        greedy = [choice(0, 1.0, None)] * 2
        penalties = Penalties([0], repetition=1.5, presence=0.0)
        tokens, logprobs = Sampler(3, [], CPU).pick(logits, greedy, {}, {0: (penalties, [])})
        assert tokens == [1, 0]
        # What is told is what the model itself thinks of the token.
        assert logprobs[0] == pytest.approx(float(torch.log_softmax(logits[0], dim=-1)[1]))

    @settings(max_examples=30, deadline=None)
    @given(st.integers(1, 5), st.integers(0, 2**40), st.floats(0.1, 2), st.floats(0.01, 1))
    def test_a_row_draws_the_same_whoever_is_beside_it(
        self, others: int, seed: int, temperature: float, top_p: float
    ) -> None:
        torch.manual_seed(seed % 1000)
        logits = torch.randn(others + 1, 50) * 3
        sampler = Sampler(50, [0], CPU)
        alone = sampler.pick(logits[:1], [choice(temperature, top_p, seed)], {})[0]
        among = sampler.pick(
            logits,
            [
                choice(temperature, top_p, seed),
                *(choice(1.0, 0.9, n, n % 3, 0.1) for n in range(others)),
            ],
            {},
        )[0]
        assert alone[0] == among[0] != 0

    def test_a_draw_at_the_very_end_still_finds_a_token(self) -> None:
        class Last(random.Random):
            def random(self) -> float:
                return 1.0 - 2**-53

        logits = torch.tensor([[0.0, -200.0, -torch.inf]])
        drawing = Choice(1.0, 1.0, Last())
        assert Sampler(3, [], CPU).pick(logits, [drawing], {})[0] in ([0], [1])


class TestCache:
    """Rows join, leave and write; what a row's columns hold is what it wrote."""

    @settings(max_examples=60, deadline=None)
    @given(st.data())
    def test_rows_come_and_go(self, data: st.DataObject) -> None:
        cache: RoomyCache | None = None
        written: list[list[float]] = []
        number = 0.0
        for _ in range(data.draw(st.integers(1, 12))):
            act = data.draw(st.sampled_from(["join", "write", "leave", "break"]))
            if act == "join":
                lengths = data.draw(st.lists(st.integers(1, 200), min_size=1, max_size=3))
                new, longest = RoomyCache(), max(lengths)
                rows = []
                for length in lengths:
                    number += 1
                    rows.append([number] * length)
                padded = [[0.0] * (longest - len(row)) + row for row in rows]
                self._write(new, torch.tensor(padded))
                written += rows
                if cache is None:
                    cache = new
                else:
                    cache.join(new)
            elif cache is not None and act in ("write", "break"):
                number += 1
                before = cache.columns
                self._write(cache, torch.full((len(written), 1), number))
                if act == "break":
                    cache.cut_back(before)
                else:
                    written = [[*row, number] for row in written]
            elif cache is not None and act == "leave":
                stay = data.draw(
                    st.lists(st.booleans(), min_size=len(written), max_size=len(written))
                )
                kept = [i for i, s in enumerate(stay) if s]
                written = [written[i] for i in kept]
                if not kept:
                    cache = None
                else:
                    cache.keep(kept, cache.columns - max(len(row) for row in written))
            self._check(cache, written)

    def _write(self, cache: RoomyCache, states: torch.Tensor) -> None:
        for layer in range(2):
            both = states.view(*states.shape[:1], 1, states.shape[1], 1).expand(-1, 2, -1, 3)
            cache.update(both + layer / 2, -both, layer)

    def _check(self, cache: RoomyCache | None, written: list[list[float]]) -> None:
        if cache is None:
            assert not written
            return
        assert cache.columns == max(len(row) for row in written)
        for layer in range(2):
            for number, row in enumerate(written):
                keys = cache.layers[layer].keys[number, 1, -len(row) :, 2]
                values = cache.layers[layer].values[number, 0, -len(row) :, 0]
                assert (keys - layer / 2).tolist() == row
                assert (-values).tolist() == row
                # Never NaN or what somebody left there: weights of zero do not undo that.
                assert cache.layers[layer].values[number, :, : -len(row)].abs().sum() == 0


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer.from_file(str(WEIGHTS / "tiny_qwen2_5_vl/tokenizer.json"))


@pytest.fixture(scope="module")
def vocabulary() -> Vocabulary:
    path = WEIGHTS / "tiny_qwen2_5_vl/tokenizer.json"
    return Vocabulary(path, size=1024, end_ids=frozenset({902, 900}))


class TestVocabulary:
    def test_tokens_bytes_are_the_text(self, vocabulary: Vocabulary, tokenizer: Tokenizer) -> None:
        @settings(max_examples=60, deadline=None)
        @given(st.text(max_size=40))
        def same(text: str) -> None:
            ids = tokenizer.encode(text, add_special_tokens=False).ids
            raw = b"".join(vocabulary.bytes_of(i) for i in ids)
            assert raw.decode() == unicodedata.normalize("NFC", text)

        same()

    def test_control_tokens_are_no_text_and_others_are(self, vocabulary: Vocabulary) -> None:
        assert vocabulary.bytes_of(902) == b""
        assert vocabulary.bytes_of(914) == b"<tool_call>"
        assert vocabulary.bytes_of(1023) == b""

    def test_a_schema_allows_what_it_allows(
        self, vocabulary: Vocabulary, tokenizer: Tokenizer
    ) -> None:
        follower = vocabulary.follow({"enum": ["退款", "paid"]})
        wanted = tokenizer.encode('"退款"', add_special_tokens=False).ids
        for token in wanted:
            words = follower.allowed()
            assert words[token // 32] >> (token % 32) & 1
            assert not words[30 // 32] >> (30 % 32) & 1
            follower.take(token)
        assert follower.done


@pytest.mark.parametrize(
    ("schema", "is_closed"),
    [
        ({"type": "object", "properties": {"a": {}}}, True),
        ({"type": "object"}, False),
        ({"properties": {"a": {}}, "additionalProperties": True}, False),
        ({"properties": {"a": {}}, "allOf": [{"properties": {"b": {}}}]}, False),
        ({"properties": {"a": {}}, "$ref": "#/$defs/b"}, False),
    ],
)
def test_objects_have_what_they_name(schema: dict[str, Any], is_closed: bool) -> None:
    assert (closed(schema).get("additionalProperties") is False) == is_closed


def test_closing_goes_as_deep_as_the_schema_and_changes_no_names() -> None:
    inner = {"type": "object", "properties": {"properties": {"type": "string"}, "enum": {}}}
    schema = {"type": "array", "items": inner, "$defs": {"x": inner}, "const": inner}
    made = closed(schema)
    assert made["items"] == {**inner, "additionalProperties": False}
    assert made["$defs"]["x"] == {**inner, "additionalProperties": False}
    assert made["const"] == inner
