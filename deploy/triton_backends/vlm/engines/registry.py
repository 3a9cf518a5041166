"""The one table of engines; modules are imported only when a model asks for them."""

from __future__ import annotations

from importlib import import_module

from engines.base import Engine, EngineContext

_ENGINES = {
    "reader": ("engines.reader.engine", "ReaderEngine"),
    "echo": ("engines.echo", "EchoEngine"),
    "transformers": ("engines.transformers.engine", "TransformersEngine"),
    "vllm": ("engines.vllm.engine", "VllmEngine"),
}


def create_engine(context: EngineContext) -> Engine:
    """The engine that the card names; ValueError for a name that is not in the table."""
    try:
        module, name = _ENGINES[context.card.engine]
    except KeyError:
        known = ", ".join(sorted(_ENGINES))
        raise ValueError(
            f"unknown engine {context.card.engine!r}; known engines: {known}"
        ) from None
    engine: Engine = getattr(import_module(module), name)(context)
    return engine
