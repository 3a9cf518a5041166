"""Every engine behind real Triton, asked the same questions."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from kefu_gateway.domain.answer import Size
from kefu_gateway.domain.visual_tokens import parse_rule
from tests.checkpoints.architectures import served_by
from tests.checkpoints.models import model_directories, require_engine
from tests.fixtures.triton import Answer, Host, Model, running

_TINY = served_by("transformers")
_TINY_CODE = ("tiny_minicpm_v_2_6",)
# Without the engine's own environment `vllm` runs where a person put it; the suffix keeps both engines' models apart.
_VLLM = "_vllm"
# Two engines, four processes each, a library that takes ten seconds to import in every one of them.
_VLLM_SECONDS = 600


@dataclass(frozen=True, slots=True)
class Served:
    """A model, the engine behind it, and the Triton that has both."""

    host: Host
    engine: str
    name: str

    @property
    def model(self) -> Model:
        return self.host.models[self.name]

    @property
    def sees(self) -> bool:
        """Whether the model was shown pictures, and not their text or their number."""
        return self.engine in ("transformers", "vllm")

    async def ask(self, question: str, *more: Any, **options: Any) -> Answer:
        return await self.host.ask(self.name, question, *more, **options)

    async def answer(self, *more: Any, **options: Any) -> Answer:
        return await self.host.answer(self.name, *more, **options)

    def prompt(self, question: str, pictures: int = 0) -> list[int]:
        content = [{"type": "image"}] * pictures + [{"type": "text", "text": question}]
        return self.model.prompt([{"role": "user", "content": content}], "en")

    def visual_tokens(self, width: int, height: int) -> int:
        """Of one picture, as the gateway counts before it sends a prompt."""
        return parse_rule(self.model.card["picture"]["tokens"]).tokens(Size(width, height))

    def metric(self, name: str) -> float:
        return self.host.metric(name, self.name)


@pytest.fixture(scope="session")
def transformers_host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """Real Triton with the tiny checkpoints that the engine `transformers` can serve."""
    require_engine("transformers")
    folder = tmp_path_factory.mktemp("transformers")
    # Requests of one batch wait for each other as long as a slow machine takes to prepare their pictures.
    repository = model_directories(
        folder / "models", "transformers", settings={"gather_ms": 5000, "cpu_threads": 1}
    )
    with running(folder / "run", _TINY, repositories=(repository,)) as host:
        yield host


@pytest.fixture(scope="session")
def vllm_host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """The same checkpoints on the engine `vllm`."""
    with _vllm(tmp_path_factory.mktemp("vllm"), _TINY) as host:
        yield host


@pytest.fixture(scope="session")
def vllm_code_host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """The checkpoint that brings code along; in a server of its own, since not every test of `vllm` needs it."""
    with _vllm(tmp_path_factory.mktemp("vllm_code"), _TINY_CODE) as host:
        yield host


@contextlib.contextmanager
def _vllm(folder: Path, names: Sequence[str]) -> Iterator[Host]:
    require_engine("vllm")
    repository = model_directories(folder / "models", "vllm", names=names, suffix=_VLLM)
    with running(
        folder / "run",
        [f"{name}{_VLLM}" for name in names],
        repositories=(repository,),
        ready_seconds=_VLLM_SECONDS,
        KEFU_TRITON_START_TIMEOUT=str(_VLLM_SECONDS),
    ) as host:
        yield host


_SERVED = {
    "echo": [pytest.param(("triton", "echo", "echo"), id="echo")],
    "reader": [pytest.param(("triton", "reader", "reader"), id="reader")],
    "transformers": [
        pytest.param(("transformers_host", "transformers", name), id=f"transformers-{name}")
        for name in _TINY
    ],
    "vllm": [
        pytest.param(
            (host, "vllm", f"{name}{_VLLM}"),
            id=f"vllm-{name}",
            marks=[pytest.mark.vllm, pytest.mark.timeout(_VLLM_SECONDS + 60)],
        )
        for host, names in (("vllm_host", _TINY), ("vllm_code_host", _TINY_CODE))
        for name in names
    ],
}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """`@pytest.mark.engines("reader", …)` names the engines of a test that takes `served`; without it, all of them."""
    if "served" in metafunc.fixturenames:
        mark = metafunc.definition.get_closest_marker("engines")
        names = mark.args if mark else tuple(_SERVED)
        cases = [case for name in names for case in _SERVED[name]]
        metafunc.parametrize("served", cases, indirect=True)


@pytest.fixture
def served(request: pytest.FixtureRequest) -> Served:
    host, engine, name = request.param
    return Served(request.getfixturevalue(host), engine, name)
