"""When a model that could not be loaded is tried again."""

from __future__ import annotations

from kefu_modelhost.retries import FIRST_PAUSE, HEALTHY_SECONDS, Retry, RetryRules

FOR_EVER = RetryRules(longest=60.0, attempts=0)


def pauses(retry: Retry, count: int) -> list[float | None]:
    found: list[float | None] = []
    for _ in range(count):
        retry.failed(1000.0)
        found.append(None if retry.due is None else retry.due - 1000.0)
    return found


def test_the_pause_doubles_up_to_the_longest() -> None:
    assert pauses(Retry(FOR_EVER), 6) == [5, 10, 20, 40, 60, 60]


def test_it_is_given_up_after_so_many_attempts() -> None:
    assert pauses(Retry(RetryRules(longest=60.0, attempts=3)), 4) == [5, 10, None, None]


def test_a_failure_that_took_the_server_with_it_waits_longest() -> None:
    retry = Retry(FOR_EVER)
    retry.failed(0.0, longest=True)
    assert retry.due == 60


def test_a_model_that_is_lost_comes_back_at_once_but_not_again_and_again() -> None:
    """One that answers the first questions and dies of the next would be loaded without an end."""
    retry = Retry(FOR_EVER)
    retry.served(1.0, 10.0)
    assert retry.due == 10.0
    retry.served(1.0, 20.0)
    assert retry.due == 20.0 + 2 * FIRST_PAUSE
    retry.served(HEALTHY_SECONDS, 100.0)
    assert retry.due == 100.0


def test_a_model_that_can_be_loaded_is_not_given_up() -> None:
    retry = Retry(RetryRules(longest=60.0, attempts=1))
    retry.served(1.0, 0.0)
    retry.served(1.0, 0.0)
    assert retry.due == 60.0
