"""A model repository put together from several: the hosted models and the trivial one, for tests and benchmarks.

models = gather(folder, ("reader", "echo"))
House.open(folder, Ports.free(), models=models.names, repository=models.repository, weights=models.weights)
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from kefu_modelhost.tokenizer import build_byte_tokenizer, save

ROOT = Path(__file__).resolve().parents[1]
REPOSITORIES = (ROOT / "deploy/triton_models", ROOT / "tests/models")
WEIGHTS = ROOT / ".kefu/weights"


@dataclass(frozen=True, slots=True)
class Models:
    """What House needs to be told of them."""

    names: tuple[str, ...]
    repository: Path
    weights: Path


def gather(
    folder: Path, names: tuple[str, ...], repositories: tuple[Path, ...] = REPOSITORIES
) -> Models:
    """Links the models and their weights into `folder`. Raises FileNotFoundError for a model that is nowhere, or whose
    weights are not there."""
    models = Models(names, folder / "models", folder / "weights")
    for place in (models.repository, models.weights):
        place.mkdir(parents=True, exist_ok=True)
    for name in names:
        source = next((r / name for r in repositories if (r / name).is_dir()), None)
        if source is None:
            raise FileNotFoundError(f"there is no model {name!r} in {repositories}")
        _link(models.repository / name, source)
        _weights(models.weights / name, source)
    return models


def _weights(target: Path, model: Path) -> None:
    card = json.loads((model / "1/model.json").read_text(encoding="utf-8"))
    source = card["tokenizer_source"]
    if source["kind"] == "bytes":
        # Made, not fetched: a model of bytes has no weights.
        save(build_byte_tokenizer(tuple(source["specials"])), target / card["tokenizer"])
        return
    if not (WEIGHTS / model.name / card["tokenizer"]).is_file():
        raise FileNotFoundError(f"the weights of {model.name!r} are not there: ./dev setup")
    _link(target, WEIGHTS / model.name)


def _link(place: Path, target: Path) -> None:
    place.unlink(missing_ok=True)
    place.symlink_to(target)
