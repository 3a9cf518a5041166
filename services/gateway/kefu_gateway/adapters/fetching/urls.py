r"""Which URLs may be asked for. One strict reading of a URL, and everything after it works on its parts.

    rules = UrlRules.read(hosts="img.example.com,*.cdn.example.com", ports="443")
    target = rules.target("https://a.cdn.example.com/1.png?sign=…")

Two readers of one URL that disagree about its host are the oldest way around a list of hosts: what does not fit this
narrow grammar (a subset of RFC 3986's) is refused, and no other parser ever sees the URL. An IP address is never a
host, in whatever spelling (`127.1`, `2130706433`, `0x7f.1`, `[::1]`): a name's last label must begin with a letter.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import quote, urljoin

from kefu_gateway.adapters.fetching.outcomes import Outcome, Refused

MOST_CHARACTERS = 4096
HTTPS_PORT = 443

_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_LAST_LABEL = r"[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?"
_HOST = rf"(?:{_LABEL}\.)*{_LAST_LABEL}"
_URL = re.compile(
    rf"https://(?P<host>{_HOST})(?::(?P<port>[0-9]{{1,5}}))?(?P<target>/[!-~]*|\?[!-~]*)?",
    re.IGNORECASE | re.ASCII,
)
_PATTERN = re.compile(rf"(?P<any>\*\.)?(?P<host>{_HOST})", re.ASCII)
# Characters that readers of URLs take differently: a backslash for a slash, a blank or a line's end for the end.
_AMBIGUOUS = re.compile(r"[\x00-\x20\x7f\\]")


@dataclass(frozen=True, slots=True)
class Target:
    """One hop: where to connect, and what to ask for there (path and query, as sent)."""

    host: str
    port: int
    path: str

    def join(self, location: str) -> str:
        """The absolute URL of a redirect."""
        return urljoin(f"https://{self.authority}{self.path}", location)

    @property
    def authority(self) -> str:
        return self.host if self.port == HTTPS_PORT else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class UrlRules:
    """The allow-list: names as they are, and suffixes (`*.example.com` is any name below it, not itself)."""

    names: frozenset[str]
    suffixes: tuple[str, ...]
    ports: frozenset[int]

    @classmethod
    def read(cls, hosts: str, ports: str) -> UrlRules:
        """From two comma-separated settings. Raises ValueError saying what is wrong."""
        names, suffixes = set(), []
        for pattern in _words(hosts):
            found = _PATTERN.fullmatch(pattern.lower())
            if found is None:
                raise ValueError(
                    f"{pattern!r} is neither a host name nor `*.` and one; an IP address cannot be allowed"
                )
            if found["any"]:
                suffixes.append("." + found["host"])
            else:
                names.add(found["host"])
        return cls(frozenset(names), tuple(suffixes), frozenset(_port(w) for w in _words(ports)))

    def target(self, url: str) -> Target:
        """Raises Refused."""
        if len(url) > MOST_CHARACTERS or _AMBIGUOUS.search(url):
            raise Refused(Outcome.URL_REFUSED)
        # People write Chinese file names as they are: sent as UTF-8, percent-encoded. A host is ASCII or nothing.
        plain = quote(url.partition("#")[0], safe="!\"#$%&'()*+,/:;<=>?@[]^_`{|}~-.")
        found = _URL.fullmatch(plain)
        if found is None:
            raise Refused(Outcome.URL_REFUSED)
        host, port = found["host"].lower(), int(found["port"] or HTTPS_PORT)
        if len(host) > 253 or port not in self.ports:
            raise Refused(Outcome.URL_REFUSED)
        if host not in self.names and not host.endswith(self.suffixes):
            raise Refused(Outcome.HOST_REFUSED)
        target = found["target"] or "/"
        return Target(host, port, target if target.startswith("/") else "/" + target)


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _port(word: str) -> int:
    if not word.isdecimal() or not 1 <= int(word) <= 65535:
        raise ValueError(f"{word!r} is not a port")
    return int(word)
