"""JSON Web Tokens, checked against a key set (JWKS) from a file or an address.

    tokens = Tokens(rules, keys)
    await tokens.caller("eyJhbGciOi…")        # Caller, or why not (for our log alone)

PyJWT checks signatures and claims. What it leaves to its user is here: a key is used only for algorithms of its own
kind that the operator allows, all of them asymmetric (RFC 8725, sections 3.1 and 3.2: a public key must never become
an HMAC secret); a key id that is not known asks for the key set again, but not more often than every ten seconds.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import jwt
from jwt.exceptions import InvalidTokenError, PyJWTError

from kefu_gateway.adapters.identity.reloading import FileProblem
from kefu_gateway.domain.tenants import Caller, is_tenant

# By what a key is: the signatures that it can make. HS256 and "none" are not in here, and cannot be allowed.
_BY_KIND = {
    "RSA": ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    "P-256": ("ES256",),
    "P-384": ("ES384",),
    "P-521": ("ES512",),
    "Ed25519": ("EdDSA",),
}
ALGORITHMS = tuple(dict.fromkeys(name for names in _BY_KIND.values() for name in names))
LEAST_RSA_BITS = 2048
# A token of an identity provider has 1 to 2 KiB; gRPC takes 8 KiB of headers in all.
LONGEST_TOKEN = 16 * 1024
MOST_KEPT = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRules:
    """What a token must say. `tenant_claim`: a claim's name, or a JSON pointer ("/kefu/tenant") into nested ones.
    `leeway`: seconds by which clocks may differ."""

    issuer: str
    audiences: tuple[str, ...]
    algorithms: tuple[str, ...]
    tenant_claim: str = "tenant"
    leeway: float = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicKey:
    key: Any  # one of cryptography's public keys
    algorithms: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class KeySet:
    """The keys by id; "" holds those without one."""

    keys: Mapping[str, tuple[PublicKey, ...]]

    def find(self, kid: object) -> tuple[PublicKey, ...]:
        """A token without a key id is checked with the set's key where it has only one."""
        if isinstance(kid, str) and kid:
            return self.keys.get(kid, ())
        every = [key for keys in self.keys.values() for key in keys]
        return tuple(every) if kid is None and len(every) == 1 else ()


class KeySource(Protocol):
    """Where the key set comes from. `value` is None as long as it was never got."""

    @property
    def value(self) -> KeySet | None: ...

    async def again(self) -> None:
        """Asks for it once more, unless that was done a moment ago."""
        ...


class KeysUnknown(Exception):
    """There is no key set yet: nothing can be said of any token."""


class Tokens:
    """Finds callers by their tokens. A token that was found good is remembered until it expires: checking a signature
    costs some 0.1 ms."""

    def __init__(self, rules: TokenRules, source: KeySource) -> None:
        self._rules = rules
        self._source = source
        self._kept: OrderedDict[bytes, tuple[Caller, KeySet]] = OrderedDict()

    async def caller(self, token: str) -> Caller | str:
        """Raises KeysUnknown."""
        if len(token) > LONGEST_TOKEN:
            return "token_too_long"
        name = hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
        kept = self._kept.get(name)
        if kept is not None and self.knows(kept[0]) and kept[1] is self._source.value:
            self._kept.move_to_end(name)
            return kept[0]
        self._kept.pop(name, None)
        try:
            header = jwt.get_unverified_header(token)
        except InvalidTokenError:
            return "not_a_token"
        keys = await self._keys(header.get("kid"))
        found = self._verified(token, header.get("alg"), keys)
        if isinstance(found, Caller) and self._source.value is not None:
            self._kept[name] = (found, self._source.value)
            while len(self._kept) > MOST_KEPT:
                self._kept.popitem(last=False)
        return found

    def knows(self, caller: Caller) -> bool:
        """Whether the token with which a call was opened is still good."""
        return caller.expires_at is None or time.time() < caller.expires_at

    async def _keys(self, kid: object) -> tuple[PublicKey, ...]:
        known = self._source.value
        found = known.find(kid) if known is not None else ()
        if not found:
            # Its issuer may have begun to use a new key since we asked.
            await self._source.again()
            known = self._source.value
            if known is None:
                raise KeysUnknown
            found = known.find(kid)
        return found

    def _verified(self, token: str, algorithm: object, keys: Sequence[PublicKey]) -> Caller | str:
        cause = "unknown_token_key"
        for key in keys:
            if algorithm not in key.algorithms:
                cause = "token_algorithm"
                continue
            try:
                claims = jwt.decode(
                    token,
                    key.key,
                    algorithms=key.algorithms,
                    issuer=self._rules.issuer,
                    audience=self._rules.audiences,
                    leeway=self._rules.leeway,
                    options={"require": ["exp", "iss", "aud"]},
                )
            except PyJWTError as error:
                cause = f"token_{type(error).__name__.removesuffix('Error').lower()}"
                continue
            return self._caller(claims)
        return cause

    def _caller(self, claims: Mapping[str, Any]) -> Caller | str:
        tenant = claim(claims, self._rules.tenant_claim)
        if not is_tenant(tenant):
            return "token_without_tenant"
        return Caller(
            tenant=tenant, scheme="token", expires_at=float(claims["exp"]) + self._rules.leeway
        )


def claim(claims: Mapping[str, Any], name: str) -> Any:
    """A claim by its name, or by a JSON pointer (RFC 6901); None where there is none."""
    if not name.startswith("/"):
        return claims.get(name)
    value: Any = claims
    for step in name[1:].split("/"):
        step = step.replace("~1", "/").replace("~0", "~")
        value = value.get(step) if isinstance(value, dict) else None
    return value


def read_key_set(document: bytes, where: str, allowed: Sequence[str]) -> KeySet:
    """The keys of a JWKS (RFC 7517) that can check one of the allowed signatures; others are passed over, as an issuer
    may have keys for other things. Raises FileProblem where none is left."""
    try:
        raw = json.loads(document)
    except ValueError:
        raise FileProblem(f"the key set {where} is not JSON") from None
    entries = raw.get("keys") if isinstance(raw, dict) else None
    if not isinstance(entries, list):
        raise FileProblem(f'the key set {where} has no list "keys"')
    keys: dict[str, tuple[PublicKey, ...]] = {}
    for entry in entries:
        key = _public_key(entry, allowed) if isinstance(entry, dict) else None
        if key is not None:
            kid = entry.get("kid")
            name = kid if isinstance(kid, str) else ""
            keys[name] = (*keys.get(name, ()), key)
    if not keys:
        raise FileProblem(
            f"the key set {where} has no public key for any of {', '.join(allowed)} "
            f"(RSA keys need {LEAST_RSA_BITS} bits)"
        )
    return KeySet(keys)


def _public_key(entry: Mapping[str, Any], allowed: Sequence[str]) -> PublicKey | None:
    if entry.get("use", "sig") != "sig":
        return None
    kind = "RSA" if entry.get("kty") == "RSA" else entry.get("crv")
    own = _BY_KIND.get(kind, ()) if isinstance(kind, str) else ()
    declared = entry.get("alg")
    names = tuple(name for name in own if name in allowed and declared in (None, name))
    if not names:
        return None
    # The numbers of a public key alone, even where somebody published a private one.
    public = {name: entry[name] for name in ("kty", "crv", "n", "e", "x", "y") if name in entry}
    try:
        key = jwt.PyJWK(public, algorithm=names[0]).key
    except (PyJWTError, ValueError):
        return None
    if kind == "RSA" and key.key_size < LEAST_RSA_BITS:
        return None
    return PublicKey(key=key, algorithms=names)


class FileKeys:
    """A key set from a file: implements KeySource over `Reloading`."""

    def __init__(self, file: Any) -> None:
        self._file = file

    @property
    def value(self) -> KeySet | None:
        found: KeySet = self._file.value
        return found

    async def again(self) -> None:
        await asyncio.sleep(0)
        self._file.check()
