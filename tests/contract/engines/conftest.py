"""Every engine behind real Triton, asked the same questions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.checkpoints.architectures import ARCHITECTURES
from tests.checkpoints.models import model_directories, require_engine
from tests.fixtures.triton import Answer, Host, Model, running

_TINY = tuple(ARCHITECTURES)
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

    def metric(self, name: str) -> float:
        return self.host.metric(name, self.name)


@pytest.fixture(scope="session")
def transformers_host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """Real Triton with both tiny checkpoints on the engine `transformers`."""
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
    require_engine("vllm")
    folder = tmp_path_factory.mktemp("vllm")
    repository = model_directories(folder / "models", "vllm", suffix=_VLLM)
    with running(
        folder / "run",
        [f"{name}{_VLLM}" for name in _TINY],
        repositories=(repository,),
        ready_seconds=_VLLM_SECONDS,
        KEFU_TRITON_START_TIMEOUT=str(_VLLM_SECONDS),
    ) as host:
        yield host


_HOSTS = {
    "echo": "triton",
    "reader": "triton",
    "transformers": "transformers_host",
    "vllm": "vllm_host",
}
_SERVED = {
    "echo": [pytest.param(("echo", "echo"), id="echo")],
    "reader": [pytest.param(("reader", "reader"), id="reader")],
    "transformers": [
        pytest.param(("transformers", name), id=f"transformers-{name}") for name in _TINY
    ],
    "vllm": [
        pytest.param(
            ("vllm", f"{name}{_VLLM}"),
            id=f"vllm-{name}",
            marks=[pytest.mark.vllm, pytest.mark.timeout(_VLLM_SECONDS + 60)],
        )
        for name in _TINY
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
    engine, name = request.param
    return Served(request.getfixturevalue(_HOSTS[engine]), engine, name)
