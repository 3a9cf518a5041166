"""What breaks, breaks for as few as can be; and whoever leaves is gone after the step that runs."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from engines.base import Card, ContractError, Job
from engines.transformers.loading import LoadError, load
from engines.transformers.settings import TransformersSettings

from tests.unit.backend.transformers.conftest import WEIGHTS, Running, card_of, picture


@contextmanager
def forward(running: Running, instead: Any) -> Iterator[None]:
    """`instead(inputs)` is called before every pass through the model, and may raise."""
    batch = running.engine._scheduler._batch
    model = batch._model

    def called(**inputs: Any) -> Any:
        instead(inputs)
        return model(**inputs)

    batch._model = called
    try:
        yield
    finally:
        batch._model = model


@pytest.fixture(scope="module")
def engine() -> Iterator[Running]:
    running = Running("tiny_qwen2_5_vl", cpu_threads=1)
    yield running
    running.engine.close()


def jobs_of(engine: Running) -> list[Job]:
    pictures = [picture(200, 120), picture(90, 300)]
    return [engine.job(f"问题{n} " * (n + 1), pictures[: n % 3], max_tokens=10) for n in range(6)]


def test_what_came_together_is_read_together(engine: Running) -> None:
    """Whose picture is ready first waits for the others of its batch: one pass over the prompts, and a token each a
    step."""
    jobs = jobs_of(engine)
    before = dict(engine.meter.counted)
    said = engine.ask_all(jobs)

    def grown(name: str) -> float:
        return engine.meter.counted[name] - before.get(name, 0)

    assert grown("kefu_transformers_reads_total") == 1
    assert grown("kefu_transformers_steps_total") == max(len(s.ids) for s in said) - 1


def test_no_memory_for_all_prompts_at_once(engine: Running) -> None:
    """A batch of prompts that the memory does not hold is read in smaller ones; the answers are the same."""
    jobs = jobs_of(engine)
    alone = [engine.ask(job).ids for job in jobs]

    def two_at_most(inputs: dict[str, Any]) -> None:
        if inputs["input_ids"].shape[1] > 1 and inputs["input_ids"].shape[0] > 2:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 0x7f3a")

    with forward(engine, two_at_most):
        said = engine.ask_all(jobs)
    assert [s.ids for s in said] == alone
    assert engine.meter.counted["kefu_transformers_put_back_total"] > 0


def test_no_memory_in_a_step(engine: Running) -> None:
    """The youngest makes room and goes on later from where it was; nobody's answer changes, and none is sent twice."""
    jobs = jobs_of(engine)
    alone = [engine.ask(job) for job in jobs]
    room = engine.engine._scheduler._kv_tokens
    steps = 0

    def four_at_most(inputs: dict[str, Any]) -> None:
        nonlocal steps
        steps += 1
        if inputs["input_ids"].shape[1] == 1 and inputs["input_ids"].shape[0] > 4 and steps > 4:
            raise torch.OutOfMemoryError("CUDA out of memory")

    with forward(engine, four_at_most):
        said = engine.ask_all(jobs)
    assert [s.ids for s in said] == [s.ids for s in alone]
    assert [s.text for s in said] == [s.text for s in alone]
    engine.engine._scheduler._kv_tokens = room


def test_a_prompt_that_no_memory_holds_is_refused_alone(engine: Running) -> None:
    jobs = jobs_of(engine)
    alone = [engine.ask(job).ids for job in jobs]
    large = max(len(engine.engine._row(job).prompt.ids) for job in jobs)

    def not_the_largest(inputs: dict[str, Any]) -> None:
        if inputs["input_ids"].shape[1] >= large:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 12 GiB")

    with forward(engine, not_the_largest):
        said = engine.ask_all(jobs)
    refused = [s for s in said if s.error is not None]
    assert len(refused) == 1
    assert isinstance(refused[0].error, ContractError)
    assert refused[0].error.reason == "out_of_memory"
    assert "GiB" not in str(refused[0].error)
    assert [s.ids for s in said if s.error is None] == [
        ids for s, ids in zip(said, alone, strict=True) if s.error is None
    ]


def test_one_that_breaks_breaks_alone(engine: Running) -> None:
    jobs = jobs_of(engine)
    alone = [engine.ask(job).ids for job in jobs]
    poison = len(engine.engine._row(jobs[4]).prompt.ids)

    def poisoned(inputs: dict[str, Any]) -> None:
        lengths = inputs["attention_mask"].sum(dim=1).tolist()
        if inputs["input_ids"].shape[1] > 1 and poison in lengths:
            raise RuntimeError("a kernel broke")

    with forward(engine, poisoned):
        said = engine.ask_all(jobs)
    assert str(said[4].error) == "a kernel broke"
    assert [s.ids for n, s in enumerate(said) if n != 4] == alone[:4] + alone[5:]
    assert engine.ask(jobs[4]).ids == alone[4]


def test_a_step_that_breaks_is_told_to_all_and_the_next_ones_are_answered(engine: Running) -> None:
    jobs = jobs_of(engine)

    def broken(inputs: dict[str, Any]) -> None:
        if inputs["input_ids"].shape[1] == 1:
            raise RuntimeError("a kernel broke")

    with forward(engine, broken):
        said = engine.ask_all(jobs)
    assert {str(s.error) for s in said} == {"a kernel broke"}
    assert engine.ask(jobs[0]).error is None


def test_logits_that_are_no_numbers(engine: Running) -> None:
    """NaN is the most probable token to argmax: the row must end with an error, not with a token."""
    head = engine.model.get_output_embeddings()
    kept = head.weight.data
    head.weight.data = torch.full_like(kept, torch.nan)
    try:
        said = engine.ask(engine.job("hi"))
    finally:
        head.weight.data = kept
    assert isinstance(said.error, RuntimeError)
    assert said.ids == []


def test_who_leaves_is_gone_after_the_step_that_runs(engine: Running) -> None:
    """Every pass waits for leave to begin. Cancelled while one runs, a request has no part in the next."""
    may_go, begun, cancelled = threading.Semaphore(0), threading.Semaphore(0), threading.Event()
    sizes: list[int] = []

    def slow(inputs: dict[str, Any]) -> None:
        sizes.append(inputs["input_ids"].shape[0])
        begun.release()
        assert may_go.acquire(timeout=20)

    said: list[Any] = []
    jobs = [engine.job("a story", max_tokens=500), engine.job("one more", max_tokens=6)]
    with forward(engine, slow):
        leaver = threading.Thread(target=lambda: said.append(engine.ask(jobs[0], cancelled.is_set)))
        leaver.start()
        assert begun.acquire(timeout=20)
        may_go.release()  # the prompt is read
        assert begun.acquire(timeout=20)  # the first step runs
        cancelled.set()
        leaver.join(20)
        assert said[0].last.finish_reason == "cancelled"
        stayer = threading.Thread(target=lambda: said.append(engine.ask(jobs[1])))
        stayer.start()
        may_go.release(50)
        stayer.join(20)
    assert said[1].error is None
    assert said[1].last.usage.completion == 6
    # Two passes of the one that left, then only ever the other.
    assert sizes[:2] == [1, 1]
    assert set(sizes[2:]) == {1}
    assert len(sizes) <= 2 + 6
    assert engine.empties()


def test_a_model_that_is_closed_ends_everybody(engine: Running) -> None:
    running = Running("tiny_qwen2_5_vl", cpu_threads=1)
    said: list[Any] = []
    thread = threading.Thread(
        target=lambda: said.append(running.ask(running.job("a story", max_tokens=3000)))
    )
    thread.start()
    running.engine.close()
    thread.join(20)
    assert not thread.is_alive()
    assert said[0].error is None or said[0].error.reason == "shutting_down"
    with pytest.raises(ContractError, match="shutting_down"):
        running.engine.generate(running.job("too late"), lambda _: None, lambda: False)


def _checkpoint(folder: Path, **config: Any) -> Path:
    """The tiny checkpoint with other words in its config.json."""
    source = (WEIGHTS / "tiny_qwen2_5_vl").resolve()
    for file in source.iterdir():
        (folder / file.name).symlink_to(file)
    (folder / "config.json").unlink()
    raw = json.loads((source / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**raw, **config}))
    return folder


def _card(**weights: Any) -> Card:
    card = card_of("tiny_qwen2_5_vl")
    return Card.from_json({**card.raw, "weights": {**card.raw["weights"], **weights}})


_CODE = {"auto_map": {"AutoConfig": "configuration_evil.EvilConfig"}}
_COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.mark.parametrize(
    ("weights", "manifest", "words"),
    [
        ({}, None, "does not allow it"),
        ({"remote_code": True, "revision": "main"}, None, "is no commit"),
        ({"remote_code": True, "revision": _COMMIT}, None, "is not run"),
        ({"remote_code": True, "revision": _COMMIT}, {"revision": "f" * 40}, "is not run"),
    ],
)
def test_code_that_nobody_pinned_is_not_run(
    tmp_path: Path, weights: dict[str, Any], manifest: dict[str, str] | None, words: str
) -> None:
    folder = _checkpoint(tmp_path, **_CODE)
    (folder / "configuration_evil.py").write_text("raise SystemExit('this code has run')")
    if manifest is not None:
        (folder / "kefu-weights.json").write_text(json.dumps(manifest))
    with pytest.raises(LoadError, match=words):
        load(_card(**weights), folder, TransformersSettings(), None)


def test_pinned_code_is_run(tmp_path: Path) -> None:
    folder = _checkpoint(tmp_path, model_type="pinned_evil", **_CODE)
    (folder / "configuration_evil.py").write_text("raise RuntimeError('this code has run')")
    (folder / "kefu-weights.json").write_text(json.dumps({"revision": _COMMIT}))
    with pytest.raises(RuntimeError, match="this code has run"):
        load(_card(remote_code=True, revision=_COMMIT), folder, TransformersSettings(), None)


def test_what_an_operator_can_put_right_is_named(tmp_path: Path) -> None:
    card = card_of("tiny_qwen2_5_vl")
    weights = WEIGHTS / "tiny_qwen2_5_vl"
    with pytest.raises(LoadError, match="kefu_modelhost pull tiny_qwen2_5_vl"):
        load(card, tmp_path, TransformersSettings(), None)
    with pytest.raises(LoadError, match="flash-attn"):
        load(card, weights, TransformersSettings(attention="flash_attention_2"), None)
    if not torch.cuda.is_available():
        with pytest.raises(LoadError, match="finds no GPU"):
            load(card, weights, TransformersSettings(device="cuda"), None)
    for raw in ({"max_rows": 0}, {"dtype": "int3"}, {"max_rows": "many"}, {"device": 3}):
        with pytest.raises(ValueError, match="engine_settings"):
            TransformersSettings.parse(raw)


def test_too_large_for_the_device_names_the_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 130 MiB. GPU 0 has")

    monkeypatch.setattr(torch.nn.Module, "to", full)
    with pytest.raises(LoadError, match=r"lower engine_settings\.dtype") as error:
        load(card_of("tiny_qwen2_5_vl"), WEIGHTS / "tiny_qwen2_5_vl", TransformersSettings(), None)
    assert "130 MiB" not in str(error.value)
