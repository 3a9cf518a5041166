"""What an operator can put right."""

from __future__ import annotations


class SetupError(Exception):
    """Something on this machine is missing or in the way; the text says what to do about it."""


class WeightsError(SetupError):
    """Weights that cannot be had, or are not the ones that the card names."""
