"""Posts between gateways as bytes: one line of JSON that says what it is, then the payload."""

from __future__ import annotations

import json
from typing import Any

from kefu.chat.v1 import answer_pb2
from kefu_gateway.domain.answer import Answered, Delta
from kefu_gateway.domain.conversations import NewsFor, Poke, Post
from kefu_gateway.domain.mailboxes import News, Told
from kefu_gateway.domain.session import Failure, SessionKey
from kefu_gateway.wire.answers import answer_from_proto, answer_to_proto


def post_to_bytes(post: Post) -> bytes:
    header: dict[str, Any] = {"key": [post.key.tenant, post.key.session_id]}
    body = b""
    if isinstance(post, NewsFor):
        header |= {"request": post.request_id, "fence": post.told.fence}
        kind, body = _news_to_bytes(post.told.news)
        header["news"] = kind
    return json.dumps(header, ensure_ascii=False).encode() + b"\n" + body


def post_from_bytes(message: bytes) -> Post:
    """Raises ValueError where the message is not a post: another version of us may have sent it."""
    head, _, body = message.partition(b"\n")
    header = json.loads(head)
    try:
        key = SessionKey(*header["key"])
        if "request" not in header:
            return Poke(key)
        news = _news_from_bytes(header["news"], body)
        return NewsFor(key, header["request"], Told(header["fence"], news))
    except (KeyError, TypeError) as error:
        raise ValueError("not a post") from error


def _news_to_bytes(news: News) -> tuple[str, bytes]:
    match news:
        case Delta(text, tokens):
            return "delta", json.dumps([text, tokens]).encode()
        case Failure():
            fields = [news.reason, news.message, news.metadata]
            return "failure", json.dumps(fields, ensure_ascii=False).encode()
        case _:
            return "answer", answer_to_proto(news.answer).SerializeToString()


def _news_from_bytes(kind: str, body: bytes) -> News:
    if kind == "answer":
        return Answered(answer_from_proto(answer_pb2.Answer.FromString(body)))
    if kind == "delta":
        text, tokens = json.loads(body)
        return Delta(text, tokens)
    reason, message, metadata = json.loads(body)
    pairs = tuple((name, value) for name, value in metadata)
    return Failure(reason=reason, message=message, metadata=pairs)
