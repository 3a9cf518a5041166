"""Tiny checkpoints where the model host looks for weights, and model directories that serve them.

    python -m tests.checkpoints                              # builds all of them
    repository = model_directories(folder, "transformers")   # <folder>/tiny_qwen2_5_vl/{config.pbtxt,1/…}, …

A tiny model's directory is the real model's, with another name, other token ids and a CPU: what the tests load is
what a platform team loads.

A checkpoint that brings code along has ours (`remote/`); the same tests run with the publisher's own files, where
somebody has them:

    KEFU_TESTS_CODE=WEIGHTS/minicpm_v_2_6 ./dev test --vllm -k minicpm
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer

from tests.checkpoints.architectures import ARCHITECTURES, Architecture, served_by

ROOT = Path(__file__).resolve().parents[2]
REAL_MODELS = ROOT / "deploy/triton_models"
WEIGHTS = Path(os.environ.get("KEFU_WEIGHTS_DIR", ROOT / ".kefu/weights"))
ENGINES = Path(os.environ.get("KEFU_ENGINE_ENVS", ROOT / ".kefu/envs"))
CONTEXT = 4096
# A folder with a publisher's Python files, instead of ours.
_CODE = os.environ.get("KEFU_TESTS_CODE", "")


def require_engine(name: str) -> Path:
    """The environment of an engine; skips the test, and says what to do, where it is not there."""
    folder = ENGINES / name
    if not (folder / "bin/python").exists() or not list(
        folder.glob("lib/python3.*/site-packages/torch/__init__.py")
    ):
        pytest.skip(
            f"the engine {name} is NOT tested: {folder} has no torch (./dev setup --all makes it; ./dev help)"
        )
    return folder


def ensure(name: str, *, python: Path | None = None) -> Path:
    """The folder of a checkpoint, built if it is not there or its recipe has changed; a few seconds.

    python: of an environment with transformers and torch; None takes the one of the engine `transformers`.
    """
    folder = WEIGHTS / name
    with _alone(WEIGHTS / f"{name}.lock"):
        recipe = _recipe(ARCHITECTURES[name])
        if (folder / "made-by").is_file() and (folder / "made-by").read_text() == recipe:
            return folder
        python = python or require_engine("transformers") / "bin/python"
        fresh = folder.with_name(f"{name}.new")
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(parents=True)
        done = subprocess.run(
            [
                *(str(python), "-m", "tests.checkpoints.build", name, str(fresh)),
                *(("--code", _CODE) if _CODE and ARCHITECTURES[name].code else ()),
            ],
            cwd=ROOT,
            env={**os.environ, "HF_HUB_OFFLINE": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"the checkpoint {name} cannot be made:\n{done.stderr[-2000:]}")
        (fresh / "made-by").write_text(recipe)
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(fresh, folder)
    return folder


def model_directories(
    repository: Path,
    engine: str,
    *,
    names: Iterable[str] = (),
    suffix: str = "",
    settings: Mapping[str, Any] | None = None,
) -> Path:
    """Model directories that serve the tiny checkpoints with an engine; built checkpoints included.

    names:    of checkpoints; all that the engine can serve if there are none
    suffix:   behind each model's name, so that two engines can serve the same weights in one server
    settings: `engine_settings` over those of the real card
    """
    for name in names or served_by(engine):
        architecture, weights = ARCHITECTURES[name], ensure(name)
        if suffix:
            link = WEIGHTS / f"{name}{suffix}"
            with contextlib.suppress(FileExistsError):
                link.symlink_to(weights.name)
        folder = repository / f"{name}{suffix}"
        (folder / "1").mkdir(parents=True, exist_ok=True)
        card = _card(architecture, f"{name}{suffix}", engine, weights, settings or {})
        (folder / "1/model.json").write_text(json.dumps(card, ensure_ascii=False, indent=1))
        real = REAL_MODELS / architecture.real
        shutil.copyfile(real / "1" / card["chat_template"], folder / "1" / card["chat_template"])
        config = (real / "config.pbtxt").read_text(encoding="utf-8")
        config = config.replace(f'"{architecture.real}"', f'"{name}{suffix}"')
        (folder / "config.pbtxt").write_text(re.sub(r"KIND_(GPU|MODEL)", "KIND_CPU", config))
    return repository


def _card(
    architecture: Architecture, name: str, engine: str, weights: Path, settings: Mapping[str, Any]
) -> dict[str, Any]:
    real = json.loads((REAL_MODELS / architecture.real / "1/model.json").read_text())
    tokenizer = Tokenizer.from_file(str(weights / "tokenizer.json"))
    place = tokenizer.token_to_id(real["picture"]["placeholder"])
    return {
        **real,
        "name": name,
        "engine": engine,
        "description": f"{architecture.real} with random weights, for tests: it writes nonsense.",
        "weights": _weights(architecture, weights),
        "context_tokens": CONTEXT,
        "picture": {**real["picture"], "placeholder_id": place},
        "memory": {},
        "engine_settings": {**real.get("engine_settings", {}), "dtype": "float32", **settings},
    }


def _weights(architecture: Architecture, folder: Path) -> dict[str, Any]:
    """As in a card of a model from the hub; code is pinned to the commit that the folder's manifest names."""
    if not architecture.code:
        return {"revision": "tests/checkpoints", "files": []}
    revision = json.loads((folder / "kefu-weights.json").read_text())["revision"]
    return {"revision": revision, "files": [], "remote_code": True}


def _recipe(architecture: Architecture) -> str:
    """Changes when anything that the bytes of a checkpoint depend on does."""
    here = Path(__file__).parent
    files = [here / n for n in ("build.py", "architectures.py", "tokens.py", "corpus.txt")]
    files += [ROOT / "requirements/transformers.txt"]
    files += [REAL_MODELS / architecture.real / "1/chat_template.jinja"]
    if architecture.code:
        code = Path(_CODE or here / architecture.code)
        files += [here / "minicpm.py", *sorted(code.glob("*.py"))]
    return hashlib.sha256(b"".join(f.read_bytes() for f in files)).hexdigest()


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
