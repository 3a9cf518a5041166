"""What an operator can put right, and what the supervisor does something about."""

from __future__ import annotations


class SetupError(Exception):
    """Something on this machine is missing or in the way; the text says what to do about it."""


class WeightsError(SetupError):
    """Weights that cannot be had, or are not the ones that the card names."""


class ServerLost(Exception):
    """The server died, or answers nothing: only a new one helps, and every model goes down with it."""


class LoadError(Exception):
    """One model cannot be loaded, or could not be unloaded; the server and the other models are fine."""
