"""Who makes a call: by an API key or a token in its headers, by the certificate of its connection, or by both.

A gateway that was told of none of them is open: every caller is the tenant "". What the caller hears is the same for
every wrong credential; what was wrong with it goes to the log and to a counter.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping

import structlog

from kefu_common.errors import KefuError, Reason
from kefu_gateway.adapters.identity.certificates import CertificateTenants
from kefu_gateway.adapters.identity.keys import PREFIX, KeyRing
from kefu_gateway.adapters.identity.tokens import KeysUnknown, Tokens
from kefu_gateway.domain.tenants import Caller, Tenants

log = structlog.get_logger()

OPEN = Caller(tenant="")


class Callers:
    """Implements the port of `servicers.door`. `refused(cause)` is told of every credential that was turned away."""

    def __init__(
        self,
        *,
        keys: KeyRing | None,
        tokens: Tokens | None,
        certificates: CertificateTenants | None,
        tenants: Callable[[], Tenants],
        refused: Callable[[str], None],
    ) -> None:
        self._keys = keys
        self._tokens = tokens
        self._certificates = certificates
        self._tenants = tenants
        self._refused = refused

    @property
    def open(self) -> bool:
        """Whether nobody is told apart."""
        return not (self._keys or self._tokens or self._certificates)

    @property
    def asks_certificates(self) -> bool:
        return self._certificates is not None

    async def by_headers(self, method: str, headers: Iterable[tuple[str, object]]) -> Caller | None:
        """Who the headers say it is; None where that is left to the certificate. Raises KefuError:
        CREDENTIAL_INVALID, PERMISSION_DENIED, IDENTITY_UNAVAILABLE."""
        if self.open:
            return OPEN
        if self._keys is None and self._tokens is None:
            return None
        sent = [value for key, value in headers if key == "authorization"]
        if not sent and self._certificates is not None:
            return None
        if not sent:
            raise self._no("none", method, "the call has no credential: send one as a bearer token")
        found = await self._bearer(sent[0]) if len(sent) == 1 else "two_credentials"
        if isinstance(found, str):
            raise self._no(found, method)
        self._permit(found, method)
        return found

    def by_certificate(
        self, method: str, properties: Mapping[str, Iterable[bytes]], known: Caller | None
    ) -> Caller:
        """Who the connection's certificate says it is; where the headers said so already (`known`), it must be the
        same tenant: a key that was stolen is of no use on another's connection. Raises KefuError."""
        assert self._certificates is not None
        found = self._certificates.caller(properties)
        if isinstance(found, str):
            raise self._no(found, method)
        if known is not None:
            if known.tenant != found.tenant:
                raise self._no("two_tenants", method)
            return known
        self._permit(found, method)
        return found

    def still(self, caller: Caller) -> None:
        """Whether a call that was opened a while ago may ask more. Raises KefuError(CREDENTIAL_INVALID)."""
        expired = caller.expires_at is not None and caller.expires_at <= time.time()
        gone = caller.scheme == "key" and self._keys is not None and not self._keys.knows(caller)
        if expired or gone:
            raise self._no("expired" if expired else "withdrawn", "")

    async def _bearer(self, header: object) -> Caller | str:
        scheme, _, sent = str(header).partition(" ")
        if scheme.lower() != "bearer":
            return "other_scheme"
        sent = sent.strip()
        if self._keys is not None and (sent.startswith(PREFIX) or self._tokens is None):
            return self._keys.caller(sent)
        if self._tokens is None:
            return "not_a_key"
        try:
            return await self._tokens.caller(sent)
        except KeysUnknown:
            raise KefuError(
                Reason.IDENTITY_UNAVAILABLE,
                "tokens cannot be checked now: the issuer's keys could not be got",
            ) from None

    def _permit(self, caller: Caller, method: str) -> None:
        self._tenants().rules(caller.tenant).check(method)

    def _no(
        self, cause: str, method: str, sentence: str = "the credential of the call is not valid"
    ) -> KefuError:
        self._refused(cause)
        log.info("credential refused", cause=cause, method=method)
        return KefuError(Reason.CREDENTIAL_INVALID, sentence, scheme="bearer")
