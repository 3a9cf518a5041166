"""The Lua scripts of the Valkey store and the keys they work on.

Every key of a session has the hash tag `{tenant:session}`, so that a cluster keeps them in one slot and a script may
touch them together. Tenant and session are percent-encoded: what separates them can occur in neither, so no two
sessions ever share a key.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from urllib.parse import quote, unquote

from kefu_gateway.domain.session import SessionKey

_FOLDER = Path(__file__).parent / "lua"
_ALONE = ("free_picture", "forget_session", "quota_take", "quota_settle")

# Sessions by when a sweep should look at them. It is only a hint: a session's own `alive` decides.
INDEX = "kefu:sessions"


@dataclass(frozen=True, slots=True)
class Script:
    """`sha1` is what EVALSHA calls it by."""

    source: str
    sha1: str


@cache
def script(name: str) -> Script:
    source = (_FOLDER / f"{name}.lua").read_text()
    if name not in _ALONE:
        source = (_FOLDER / "prelude.lua").read_text() + source
    return Script(source, hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest())


def keys_of(key: SessionKey) -> list[str]:
    """In the order of the prelude."""
    tag = f"kefu:{{{member_of(key)}}}"
    return [f"{tag}:{name}" for name in ("meta", "turns", "inbox", "requests", "pictures", "lease")]


def member_of(key: SessionKey) -> str:
    """The session's name in the index and among the users of a picture."""
    return f"{_quoted(key.tenant)}:{_quoted(key.session_id)}"


def key_of(member: str) -> SessionKey:
    tenant, _, session_id = member.partition(":")
    return SessionKey(unquote(tenant), unquote(session_id))


def picture_key(tenant: str, sha256: str) -> str:
    """The set of sessions that use a picture. Spread over the slots of a cluster."""
    return f"kefu:picture:{{{_quoted(tenant)}:{_quoted(sha256)}}}"


def channel_of(gateway: str) -> str:
    return f"kefu:gateway:{_quoted(gateway)}"


def _quoted(text: str) -> str:
    return quote(text, safe="")
