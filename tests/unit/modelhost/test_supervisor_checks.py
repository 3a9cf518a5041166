"""What the model host refuses before Triton is started: said at once, and not minutes later by a stub's traceback."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from kefu_common.environment import load
from kefu_modelhost.advice import advise, said
from kefu_modelhost.card import find_card
from kefu_modelhost.errors import SetupError
from kefu_modelhost.settings import Settings
from kefu_modelhost.supervisor import Supervisor
from tests.fakes.checkpoint import checkpoint, hub_card


@pytest.fixture
def mounted(tmp_path: Path) -> Path:
    """A folder of weights as somebody else mounted it: no manifest."""
    for name, content in checkpoint().items():
        path = tmp_path / "weights/tiny" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return tmp_path / "weights/tiny"


def supervisor(
    folder: Path, environment: Mapping[str, str] | None = None, **changes: Any
) -> Supervisor:
    home = folder / "models/tiny/1"
    home.mkdir(parents=True, exist_ok=True)
    (home / "model.json").write_text(json.dumps(hub_card(**changes)))
    settings = {
        "KEFU_MODELS": "tiny",
        "KEFU_MODEL_REPOSITORY": str(folder / "models"),
        "KEFU_WEIGHTS_DIR": str(folder / "weights"),
        "KEFU_ENGINE_ENVS": str(folder / "envs"),
        "KEFU_TRITON_STATUS_FILE": str(folder / "status.json"),
        **(environment or {}),
    }
    return Supervisor(load(Settings, settings))


def test_a_mounted_folder_that_fits_is_taken_as_it_is(mounted: Path, tmp_path: Path) -> None:
    assert supervisor(tmp_path).status.models["tiny"].state == "waiting"


def test_an_engine_that_does_not_load_these_weights(mounted: Path, tmp_path: Path) -> None:
    with pytest.raises(SetupError, match=r"engine 'reader'.*vllm do"):
        supervisor(tmp_path, engine="reader")


def test_a_tokenizer_of_another_model(mounted: Path, tmp_path: Path) -> None:
    """The gateway would put a picture's place where the model reads a word."""
    picture = {"placeholder": "<|image|>", "placeholder_id": 9}
    with pytest.raises(SetupError, match=r"gives '<\|image\|>' the id 256, the card 9"):
        supervisor(tmp_path, picture=picture)


def test_everything_that_is_wrong_is_said_at_once(mounted: Path, tmp_path: Path) -> None:
    (mounted / "model-00002-of-00002.safetensors").unlink()
    (mounted / "config.json").write_text("{")
    with pytest.raises(SetupError) as caught:
        supervisor(tmp_path)
    assert "model-00002-of-00002.safetensors is missing" in str(caught.value)
    assert "config.json cannot be read" in str(caught.value)
    assert "kefu-models pull tiny" in str(caught.value)


def test_code_of_another_repository_is_refused(mounted: Path, tmp_path: Path) -> None:
    """`trust_remote_code` would fetch it from the hub's newest commit, whatever the card pins."""
    config = json.loads((mounted / "config.json").read_text())
    config["auto_map"] = {"AutoModel": "maker/other--modeling_tiny.Tiny"}
    (mounted / "config.json").write_text(json.dumps(config))
    with pytest.raises(SetupError, match=r"code of another repository \(maker/other--"):
        supervisor(tmp_path, weights={"remote_code": True})
    config["auto_map"] = {"AutoModel": "modeling_tiny.Tiny"}
    (mounted / "config.json").write_text(json.dumps(config))
    with pytest.raises(SetupError, match=r"modeling_tiny\.py is missing"):
        supervisor(tmp_path, weights={"remote_code": True})


def test_an_environment_of_its_own_must_be_there(mounted: Path, tmp_path: Path) -> None:
    settings = {"environment": "old"}
    with pytest.raises(SetupError, match=r"envs/old.*requirements/old\.txt"):
        supervisor(tmp_path, engine_settings=settings)
    python = tmp_path / "envs/old/bin/python"
    python.parent.mkdir(parents=True)
    python.touch()
    supervisor(tmp_path, engine_settings=settings)


def test_one_that_cannot_be_loaded_does_not_keep_the_host_from_starting(
    mounted: Path, tmp_path: Path
) -> None:
    """With all of them it does, and names what is wrong with each."""
    other = tmp_path / "models/other/1"
    other.mkdir(parents=True)
    (other / "model.json").write_text(json.dumps(hub_card(name="other")))
    both = {"KEFU_MODELS": "tiny,other"}
    assert set(supervisor(tmp_path, environment=both).status.models) == {"tiny", "other"}
    (mounted / "config.json").unlink()
    with pytest.raises(SetupError, match=r"(?s)tiny: .*config\.json is missing.*other: .*weights"):
        supervisor(tmp_path, environment=both)


@pytest.mark.parametrize(("seconds", "right"), [(900, True), (0, False), (-1, False), ("x", False)])
def test_a_card_may_say_how_long_its_load_takes(
    mounted: Path, tmp_path: Path, seconds: Any, right: bool
) -> None:
    if right:
        supervisor(tmp_path, load_seconds=seconds)
        return
    with pytest.raises(SetupError, match=r"load_seconds|could not convert"):
        supervisor(tmp_path, load_seconds=seconds)


@pytest.mark.parametrize(
    "words",
    [
        "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB",
        "ValueError: No available memory for the cache blocks",
        "the estimated maximum model length is larger than the available KV cache memory",
        "tritonserver ended with -9: it said nothing",
        "std::bad_alloc",
    ],
)
def test_memory_that_ran_out_in_all_its_words(words: str) -> None:
    card = find_card("qwen3_vl_4b", (Path(__file__).parents[3] / "deploy/triton_models",))
    advice = advise(card, words)
    assert "lower engine_settings.max_num_seqs" in advice
    assert "qwen3_vl_4b/1/model.json" in advice
    assert "15 GiB in bf16" in advice


def test_other_failures_get_no_advice_about_memory() -> None:
    card = find_card("qwen3_vl_4b", (Path(__file__).parents[3] / "deploy/triton_models",))
    words = "ModuleNotFoundError: No module named 'vllm'\n\nAt:\n  /x/engine.py(3): <module>\n;\n"
    assert advise(card, words) == ""
    assert said(words) == "ModuleNotFoundError: No module named 'vllm'"
