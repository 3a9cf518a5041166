"""A caller's `traceparent`: taken over where it is one, and seen by somebody only where its flag says so."""

from __future__ import annotations

import contextvars

import pytest

from kefu_common import calls

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


def passed_on(traceparent: str) -> tuple[bool, bool]:
    """Whether it goes along to our other processes, and whether to Triton."""

    def call() -> tuple[bool, bool]:
        calls.current_span.set(None)
        calls.pass_on(traceparent)
        header = (calls.TRACEPARENT_KEY, traceparent)
        return header in (calls.outgoing() or ()), header in (calls.trace_headers() or ())

    return contextvars.copy_context().run(call)


@pytest.mark.parametrize(
    ("flags", "sampled"), [("00", False), ("01", True), ("02", False), ("03", True), ("fe", False)]
)
def test_the_lowest_bit_alone_says_sampled(flags: str, sampled: bool) -> None:
    """W3C Trace Context, 3.2.2.5: the others are not ours to read; 02 says that the id is random."""
    assert passed_on(f"00-{TRACE}-{SPAN}-{flags}") == (True, sampled)


@pytest.mark.parametrize("odd", ["", "x", f"00-{TRACE}-{SPAN}", f"00-{TRACE}-{SPAN}-0g"])
def test_what_is_none_goes_nowhere(odd: str) -> None:
    assert passed_on(odd) == (False, False)
