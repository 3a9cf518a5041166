"""`pip install .` in an empty environment: stubs, client and command, with grpcio and protobuf alone.

Seconds where downloads are kept, most of a minute where they are not. Skipped where no package index can be reached.
"""

from __future__ import annotations

import json
import os
import subprocess
import venv
from pathlib import Path

import pytest

from kefu.chat.v1.answer_pb2 import Answer
from kefu.chat.v1.chat_service_pb2 import Delta
from kefu_common.errors import KefuError, Reason
from tests.fakes.gateway import FakeGateway

pytestmark = pytest.mark.timeout(900)  # a new environment and a build: minutes on a busy machine

_ROOT = Path(__file__).parents[3]
# typing_extensions is grpcio's; pip and setuptools come with a new environment of some Pythons.
_EXPECTED = {"kefu", "grpcio", "protobuf", "typing_extensions"}
_FURNITURE = {"pip", "setuptools", "wheel"}


def _environ() -> dict[str, str]:
    """Ours without what would let the new environment see this one."""
    return {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}


def _run(*command: str | Path, seconds: float = 120) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(word) for word in command],
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
        env=_environ(),
        cwd="/",
    )


@pytest.fixture(scope="module")
def bin_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("empty")
    venv.create(folder / "venv", with_pip=True, symlinks=True)
    bins = folder / "venv" / "bin"
    # Something small that is needed anyway, and without which a failure below says nothing about us.
    probe = _run(
        *(bins / "pip", "download", "--quiet", "--no-deps", "--retries", "1", "--timeout", "10"),
        *("--dest", folder / "probe", "typing_extensions"),
    )
    if probe.returncode != 0:
        pytest.skip(
            f"NO PACKAGE INDEX CAN BE REACHED, so `pip install .` is untested: {probe.stderr}"
        )
    installed = _run(bins / "pip", "install", "--quiet", _ROOT, seconds=600)
    assert installed.returncode == 0, installed.stderr
    return bins


def test_it_brings_grpcio_and_protobuf_and_nothing_else(bin_folder: Path) -> None:
    listed = json.loads(_run(bin_folder / "pip", "list", "--format", "json").stdout)
    assert {each["name"].lower().replace("-", "_") for each in listed} - _FURNITURE == _EXPECTED


def test_every_stub_and_the_client_can_be_imported(bin_folder: Path) -> None:
    generated = _ROOT / "protos" / "gen"
    modules = [
        ".".join(path.relative_to(generated).with_suffix("").parts)
        for path in sorted(generated.rglob("*_pb2*.py"))
    ]
    assert len(modules) > 5
    code = f"import kefu_client, {', '.join(modules)}; print(kefu_client.__file__)"
    done = _run(bin_folder / "python", "-c", code)
    assert done.returncode == 0, done.stderr
    # Not this checkout by some path.
    assert Path(done.stdout.strip()).is_relative_to(bin_folder.parent)


def test_the_command_answers_and_reads_errors(bin_folder: Path, gateway: FakeGateway) -> None:
    gateway.will(Delta(text="因为"), Answer(text="因为"))
    gateway.will(KefuError(Reason.MODEL_UNKNOWN, "no such model", model="qwen9"))
    gateway.is_healthy("")
    command = (bin_folder / "kefu", "chat", "-q", "--address", gateway.address, "hi")
    answered = _run(*command)
    assert (answered.returncode, answered.stdout, answered.stderr) == (0, "因为\n", "")
    failed = _run(*command)
    assert failed.returncode == 1
    assert "no such model" in failed.stderr
    assert "MODEL_UNKNOWN" in failed.stderr
    assert _run(bin_folder / "kefu", "health", "--address", gateway.address).returncode == 0
    assert _run(bin_folder / "kefu", "version").stdout.startswith("kefu 0.")
