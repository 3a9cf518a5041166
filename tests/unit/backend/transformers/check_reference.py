"""The engine against the library's own way of doing the same."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.backend.transformers.conftest import Running, picture

_SIZES = [(56, 56), (300, 200), (90, 401), (640, 480)]


def inputs(tiny: Running, question: str, sizes: list[tuple[int, int]]) -> dict[str, torch.Tensor]:
    """What the library's processor would make of the same question."""
    prompt = tiny.engine._row(tiny.job(question, [picture(*size) for size in sizes])).prompt
    ids = torch.tensor([prompt.ids])
    kinds = (ids == tiny.model.config.image_token_id).int()
    return {"input_ids": ids, "mm_token_type_ids": kinds, **prompt.features}


def test_a_greedy_answer_is_the_librarys(tiny: Running) -> None:
    for number in range(4):
        question, sizes = f"第{number}个问题", _SIZES[:number]
        asked = inputs(tiny, question, sizes)
        with torch.inference_mode():
            made = tiny.model.generate(
                **asked,
                attention_mask=torch.ones_like(asked["input_ids"]),
                max_new_tokens=16,
                do_sample=False,
            )
        theirs = made[0, asked["input_ids"].shape[1] :].tolist()
        ours = tiny.ask(tiny.job(question, [picture(*s) for s in sizes], max_tokens=16)).ids
        assert ours == theirs[: len(ours)]
        assert len(ours) >= 12


def test_a_repetition_penalty_is_the_librarys(tiny: Running) -> None:
    asked = inputs(tiny, "多少钱？多少钱？", [(300, 200)])
    how = {"repetition_penalty": 1.4, "max_tokens": 16}
    with torch.inference_mode():
        made = tiny.model.generate(
            **asked,
            attention_mask=torch.ones_like(asked["input_ids"]),
            max_new_tokens=16,
            do_sample=False,
            repetition_penalty=1.4,
        )
    theirs = made[0, asked["input_ids"].shape[1] :].tolist()
    ours = tiny.ask(tiny.job("多少钱？多少钱？", [picture(300, 200)], **how)).ids
    assert ours == theirs[: len(ours)]
    assert ours != tiny.ask(tiny.job("多少钱？多少钱？", [picture(300, 200)], max_tokens=16)).ids


def test_positions_are_the_librarys(tiny: Running) -> None:
    @settings(max_examples=15, deadline=None)
    @given(
        st.lists(st.tuples(st.integers(30, 500), st.integers(30, 500)), max_size=4),
        st.text(min_size=1, max_size=8),
    )
    def same(sizes: list[tuple[int, int]], question: str) -> None:
        pictures = [picture(*size) for size in sizes]
        prompt = tiny.engine._row(tiny.job(question, pictures)).prompt
        ids = torch.tensor([prompt.ids])
        theirs, delta = tiny.model.model.get_rope_index(
            ids,
            mm_token_type_ids=(ids == tiny.model.config.image_token_id).int(),
            image_grid_thw=prompt.features.get("image_grid_thw"),
        )
        assert torch.equal(prompt.positions, theirs[:, 0])
        assert prompt.after == len(prompt.ids) + int(delta)

    same()


def test_pictures_side_by_side_need_no_text_between_them(tiny: Running) -> None:
    """The library takes two pictures without a token between them for one, and breaks."""
    from engines.base import Job, Sampling

    place = tiny.card.placeholder_id
    job = Job(
        input_ids=(65, place, place, 66),
        images=(picture(90, 90), picture(200, 60)),
        sampling=Sampling(temperature=0.0, max_tokens=3),
    )
    said = tiny.ask(job)
    assert said.error is None
    assert said.last.usage is not None
    assert said.last.usage.text == 2


def test_logprobs_are_the_models_own(tiny: Running) -> None:
    """Of the whole vocabulary at temperature 1, whatever the answer was drawn from."""
    asked = inputs(tiny, "多少钱", [(300, 200)])
    with torch.inference_mode():
        logits = tiny.model(**asked).logits[0, -1].float()
    expected = torch.log_softmax(logits, dim=-1)
    for how in ({}, {"temperature": 1.7, "top_p": 0.6, "seed": 4}):
        said = tiny.ask(tiny.job("多少钱", [picture(300, 200)], max_tokens=1, **how))
        (token,) = said.ids
        assert abs(said.chunks[0].logprobs[0] - float(expected[token])) < 1e-3


def test_an_attention_map_is_where_the_attention_was(tiny: Running) -> None:
    """The weights that the map is drawn from are those of the library's plain attention."""
    question, size = "看哪里？", (300, 200)
    said = tiny.ask(tiny.job(question, [picture(*size)], debug=True, max_tokens=8))
    (drawn,) = said.last.details["debug"]["attention"]
    assert drawn["media_type"] == "image/webp"
    asked = inputs(tiny, question, [size])
    prompt = asked["input_ids"].shape[1]
    answer = torch.tensor([said.ids])
    everything = torch.cat([asked["input_ids"], answer], dim=1)
    kinds = (everything == tiny.model.config.image_token_id).int()
    config = tiny.model.config.get_text_config()
    before, config._attn_implementation = config._attn_implementation, "eager"
    try:
        with torch.inference_mode():
            output = tiny.model(
                **{**asked, "input_ids": everything, "mm_token_type_ids": kinds},
                output_attentions=True,
            )
    finally:
        config._attn_implementation = before
    layers = torch.stack([a[0, :, prompt:].mean(dim=(0, 1)) for a in output.attentions])
    expected = layers.mean(dim=0)[:prompt]
    watcher, kept = tiny.engine._watcher, []
    original = watcher._draw
    watcher._draw = lambda number, picture, weights, *grid: kept.append(weights) or {}
    try:
        tiny.ask(tiny.job(question, [picture(*size)], debug=True, max_tokens=8))
    finally:
        watcher._draw = original
    places = (asked["input_ids"][0] == tiny.model.config.image_token_id).nonzero().flatten()
    assert torch.allclose(torch.from_numpy(kept[0]), expected[places], atol=1e-5)
    assert tiny.empties()
