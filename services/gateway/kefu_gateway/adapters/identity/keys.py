"""API keys: made here, kept as hashes in a file, compared in constant time.

    $ python -m kefu_gateway keys new --tenant shop --file /etc/kefu/keys
    kefu_4f1c9a0e7b21_yJ0c…                     # shown once; the file has only its hash

One key a line; `#` begins a comment; several keys a tenant are a rotation (add the new one, move the callers, take the
old one out):

    shop 4f1c9a0e7b21 sha256:9b74c9897bac770ffc029102a200c5de… expires=2027-06-30T00:00:00Z

The hash is a plain SHA-256, on purpose. Slow hashes (argon2, bcrypt) protect what people choose, by making every guess
dear. These secrets are 256 random bits: there is no dictionary to go through, 2^255 guesses are out of reach at any
price each, and a slow hash would only cost the gateway 50 ms of CPU a call. Who reads the file can call nothing.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from kefu_gateway.adapters.identity.reloading import FileProblem, read_text
from kefu_gateway.domain.tenants import Caller, is_tenant

PREFIX = "kefu_"
_KEY = re.compile(r"kefu_([A-Za-z0-9]{4,32})_([A-Za-z0-9_-]{22,128})")
_KEY_ID = re.compile(r"[A-Za-z0-9]{4,32}")
_HASH = re.compile(r"sha256:([0-9a-f]{64})")
# Compared with where there is no such key: a wrong id takes as long as a wrong secret.
_NOBODY = hashlib.sha256(secrets.token_bytes(32)).digest()


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """`digest`: SHA-256 of the whole key as it is sent. `expires_at`: seconds since the epoch; None: never."""

    tenant: str
    key_id: str
    digest: bytes
    expires_at: float | None = None


Keys = Mapping[str, ApiKey]


def find_caller(keys: Keys, sent: str, now: float) -> Caller | str:
    """Whose key this is; else, for our log alone, why it is nobody's."""
    shape = _KEY.fullmatch(sent)
    key = keys.get(shape[1]) if shape is not None else None
    digest = hashlib.sha256(sent.encode("utf-8", "surrogateescape")).digest()
    same = hmac.compare_digest(digest, _NOBODY if key is None else key.digest)
    if key is None:
        return "unknown_key"
    if not same:
        return "wrong_secret"
    if key.expires_at is not None and key.expires_at <= now:
        return "expired_key"
    return Caller(tenant=key.tenant, scheme="key", key_id=key.key_id, expires_at=key.expires_at)


def new_key(tenant: str, expires: datetime | None = None) -> tuple[str, str]:
    """A key, to be shown once, and its line for the file. Raises ValueError for a name that no tenant can have."""
    if not is_tenant(tenant):
        raise ValueError("a tenant's name has 1 to 128 of the characters A-Z a-z 0-9 . _ : -")
    key_id = secrets.token_hex(6)
    key = f"{PREFIX}{key_id}_{secrets.token_urlsafe(32)}"
    line = f"{tenant} {key_id} sha256:{hashlib.sha256(key.encode()).hexdigest()}"
    if expires is not None:
        line += f" expires={expires.astimezone(UTC).strftime('%Y-%m-%dT%H:%M:%SZ')}"
    return key, line


def read_keys(path: Path) -> Keys:
    """By key id. Raises FileProblem with every problem of the file; none of them repeats a hash."""
    keys: dict[str, ApiKey] = {}
    problems: list[str] = []
    for number, line in enumerate(read_text(path, "the key file").splitlines(), start=1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        try:
            key = _read_line(words)
        except ValueError as error:
            problems.append(f"line {number}: {error}")
            continue
        if key.key_id in keys:
            problems.append(f"line {number}: the key id {key.key_id} is there twice")
        keys[key.key_id] = key
    if problems:
        raise FileProblem(f"the key file {path}: {'; '.join(problems)}")
    return keys


def _read_line(words: list[str]) -> ApiKey:
    if len(words) not in (3, 4):
        raise ValueError("a line is: tenant, key id, sha256:HASH, and perhaps expires=TIME")
    tenant, key_id, hashed = words[:3]
    if not is_tenant(tenant):
        raise ValueError("a tenant's name has 1 to 128 of the characters A-Z a-z 0-9 . _ : -")
    if not _KEY_ID.fullmatch(key_id):
        raise ValueError("a key id has 4 to 32 letters and digits")
    found = _HASH.fullmatch(hashed)
    if found is None:
        raise ValueError("the hash is sha256: and 64 lower-case hexadecimal digits, never the key")
    return ApiKey(
        tenant=tenant,
        key_id=key_id,
        digest=bytes.fromhex(found[1]),
        expires_at=_expiry(words[3]) if len(words) == 4 else None,
    )


def _expiry(word: str) -> float:
    name, _, value = word.partition("=")
    try:
        if name != "expires":
            raise ValueError
        time = parse_time(value)
    except ValueError:
        raise ValueError("the fourth word is expires=2027-06-30T00:00:00Z, in UTC") from None
    return time.timestamp()


def parse_time(text: str) -> datetime:
    """A time in ISO 8601; one without a zone is UTC. Raises ValueError."""
    time = datetime.fromisoformat(text)
    return time if time.tzinfo is not None else time.replace(tzinfo=UTC)


class KeyRing:
    """Finds callers by their keys. `keys` gives those in force now."""

    def __init__(self, keys: Callable[[], Keys], clock: Callable[[], float]) -> None:
        self._keys = keys
        self._clock = clock

    def caller(self, sent: str) -> Caller | str:
        return find_caller(self._keys(), sent, self._clock())

    def knows(self, caller: Caller) -> bool:
        """Whether the key with which a call was opened is still there."""
        key = self._keys().get(caller.key_id)
        return key is not None and key.tenant == caller.tenant

    @property
    def tenants(self) -> frozenset[str]:
        return frozenset(key.tenant for key in self._keys().values())
