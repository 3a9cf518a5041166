"""What must be there before Triton is asked to load a model: said at once, not minutes later by a stub's traceback."""

from __future__ import annotations

from pathlib import Path

from kefu_modelhost.card import ModelCard
from kefu_modelhost.errors import SetupError
from kefu_modelhost.matching import require_match
from kefu_modelhost.settings import Settings


def require_loadable(card: ModelCard, settings: Settings) -> None:
    """SetupError with what is missing or does not fit. Reads sizes and headers, no weights: seconds at most."""
    _require_weights(card, settings.weights.expanduser())
    _require_environment(card, settings.engine_envs.expanduser())


def _require_weights(card: ModelCard, weights: Path) -> None:
    require_match(card, weights / card.name)
    for name in (*(f.name for f in card.files), card.tokenizer):
        if not (weights / card.name / name).is_file():
            raise SetupError(
                f"{weights / card.name / name} is missing: run `python -m kefu_modelhost pull {card.name}`,"
                " or set KEFU_WEIGHTS_DIR to the folder that has it"
            )


def _require_environment(card: ModelCard, environments: Path) -> None:
    """A card may name an environment that its engine cannot do without; others find theirs, or run in Triton's own."""
    name = card.raw.get("engine_settings", {}).get("environment")
    if name and not (environments / name / "bin" / "python").exists():
        raise SetupError(
            f"{card.name} needs the environment {environments / name}: make it with the Python of Triton's own,"
            f" `python3 -m venv {environments / name} && {environments / name}/bin/pip install"
            f" -r requirements/{name}.txt -r requirements/torch.txt`, or set KEFU_ENGINE_ENVS"
        )
