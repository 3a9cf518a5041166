"""How a fetch can end: the metric's label, and what the caller is told.

The caller may be whoever the customer is: it must not learn from an error which addresses and ports of our network
answer. So a name that does not resolve, a port that refuses, one that says nothing and one that does not speak TLS with
the right certificate are one outcome in the same words. What is told apart is known without sending anything to the
address (the URL's form, the host list, the address's range) or was said by a server that proved its allowed name.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from kefu_common.errors import KefuError, Reason


class Outcome(StrEnum):
    """Label of kefu_url_fetches_total, and the error's `cause`."""

    FETCHED = "fetched"
    URL_REFUSED = "url_refused"
    HOST_REFUSED = "host_refused"
    ADDRESS_REFUSED = "address_refused"
    UNREACHABLE = "unreachable"
    STATUS_REFUSED = "status_refused"
    TOO_MANY_REDIRECTS = "too_many_redirects"
    ENCODING_REFUSED = "encoding_refused"
    TYPE_REFUSED = "type_refused"
    TYPE_MISMATCH = "type_mismatch"
    EMPTY = "empty"
    TOO_LARGE = "too_large"
    TOO_SLOW = "too_slow"
    BROKEN = "broken"
    CANCELLED = "cancelled"


_SENTENCES: Mapping[Outcome, str] = {
    Outcome.URL_REFUSED: "the URL is not of an allowed form: https, a host by name, an allowed port, no password",
    Outcome.HOST_REFUSED: "pictures of this URL's host, or of one it redirects to, are not fetched by this server",
    Outcome.ADDRESS_REFUSED: "the URL's host has an address that this server does not fetch from",
    Outcome.UNREACHABLE: "the URL's host could not be reached over HTTPS",
    Outcome.STATUS_REFUSED: "the URL's host answered without a picture",
    Outcome.TOO_MANY_REDIRECTS: "the URL redirects too often",
    Outcome.ENCODING_REFUSED: "the URL's host sent the picture in a content encoding; it must come as it is",
    Outcome.TYPE_REFUSED: "what the URL names is not a picture of an accepted type",
    Outcome.TYPE_MISMATCH: "what the URL names is of another type than its host says",
    Outcome.EMPTY: "what the URL names has no bytes",
    Outcome.TOO_LARGE: "the picture at the URL has more bytes than allowed",
    Outcome.TOO_SLOW: "the picture at the URL came too slowly",
    Outcome.BROKEN: "the URL's host broke off, or does not speak HTTP/1.1",
}

_REASONS: Mapping[Outcome, Reason] = {
    Outcome.TYPE_REFUSED: Reason.PICTURE_FORMAT_UNSUPPORTED,
    Outcome.TYPE_MISMATCH: Reason.PICTURE_MEDIA_TYPE_MISMATCH,
    Outcome.EMPTY: Reason.PICTURE_EMPTY,
    Outcome.TOO_LARGE: Reason.PICTURE_TOO_LARGE,
}


class Refused(Exception):
    """A fetch ended without a picture. `facts` go into the error's metadata; `kind` (the name of an exception, never
    its words) into the log alone."""

    def __init__(self, outcome: Outcome, *, kind: str = "", **facts: str | int) -> None:
        super().__init__(outcome.value)
        self.outcome = outcome
        self.kind = kind
        self.facts = facts

    def as_error(self) -> KefuError:
        reason = _REASONS.get(self.outcome, Reason.PICTURE_FETCH_FAILED)
        facts: dict[str, Any] = {**self.facts, "cause": self.outcome.value}
        return KefuError(reason, _SENTENCES[self.outcome], field="url", **facts)
