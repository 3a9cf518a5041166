"""What holds for every test."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

# That an example takes 200 ms, or that inputs are slow to draw, says how busy the machine is, and nothing of the code.
settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("any machine")
