"""What the picture store keeps to, in a folder and on a real S3 server."""

from __future__ import annotations

import asyncio
import hashlib

import pytest

from kefu_common.errors import KefuError, Reason
from kefu_gateway.adapters.stores.objects import Objects, open_objects
from kefu_gateway.adapters.stores.pictures import ObjectPictures

PICTURE = b"\x89PNG" + bytes(range(256)) * 1000
SHA256 = hashlib.sha256(PICTURE).hexdigest()


@pytest.fixture
def objects(objects_url: str) -> Objects:
    return open_objects(objects_url)


@pytest.fixture
def pictures(objects: Objects) -> ObjectPictures:
    return ObjectPictures(objects)


async def test_a_picture_comes_back_by_its_hash(pictures: ObjectPictures) -> None:
    assert await pictures.get("acme", SHA256) is None
    assert await pictures.put("acme", PICTURE) == SHA256
    assert await pictures.put("acme", PICTURE) == SHA256
    assert await pictures.get("acme", SHA256) == PICTURE


async def test_a_deleted_picture_is_gone_and_may_come_again(pictures: ObjectPictures) -> None:
    await pictures.put("acme", PICTURE)
    await pictures.delete("acme", SHA256)
    await pictures.delete("acme", SHA256)
    assert await pictures.get("acme", SHA256) is None
    await pictures.put("acme", PICTURE)
    assert await pictures.get("acme", SHA256) == PICTURE


TENANTS = ["", "acme", "ACME", "..", "../acme", "/", "a/b", "a%2Fb", "租户" * 100, "a\x00b", "."]


async def test_tenants_of_all_names_stay_apart(pictures: ObjectPictures) -> None:
    for number, tenant in enumerate(TENANTS):
        sha256 = await pictures.put(tenant, b"picture %d" % number)
        for other in TENANTS:
            if other != tenant:
                assert await pictures.get(other, sha256) is None
    await pictures.put("acme", PICTURE)
    await pictures.put("other", PICTURE)
    await pictures.delete("other", SHA256)
    assert await pictures.get("acme", SHA256) == PICTURE


@pytest.mark.parametrize(
    "name", ["", "..", "../../../etc/passwd", SHA256.upper(), SHA256 + "/x", "a" * 63, "*" * 64]
)
async def test_what_is_no_hash_finds_and_deletes_nothing(
    pictures: ObjectPictures, name: str
) -> None:
    await pictures.put("acme", PICTURE)
    assert await pictures.get("acme", name) is None
    await pictures.delete("acme", name)
    assert await pictures.get("acme", SHA256) == PICTURE


async def test_a_picture_that_has_changed_is_not_given(
    pictures: ObjectPictures, objects: Objects
) -> None:
    await pictures.put("acme", PICTURE)
    (path,) = await objects.sizes("pictures")
    await objects.put(path, PICTURE[:-1] + b"!")
    assert await pictures.get("acme", SHA256) is None
    # As a power failure leaves it: the name is there, the bytes are not. The next one to send it mends it.
    await objects.put(path, b"")
    assert await pictures.get("acme", SHA256) is None
    await pictures.put("acme", PICTURE)
    assert await pictures.get("acme", SHA256) == PICTURE


async def test_the_same_picture_put_many_times_at_once(pictures: ObjectPictures) -> None:
    assert set(await asyncio.gather(*(pictures.put("acme", PICTURE) for _ in range(16)))) == {
        SHA256
    }
    assert await pictures.get("acme", SHA256) == PICTURE


async def test_a_store_that_does_not_answer_says_nothing_of_its_driver(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "very-secret")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "very-secret")
    pictures = ObjectPictures(open_objects("s3://kefu"))
    with pytest.raises(KefuError) as raised:
        await pictures.get("acme", SHA256)
    assert raised.value.reason is Reason.STORE_UNAVAILABLE
    assert raised.value.metadata == {"dependency": "objects"}
    assert raised.value.message == "the store does not answer"


@pytest.mark.parametrize("url", ["", "folder", "s4://bucket", "ftp://key:secret@host/"])
def test_an_address_that_is_none_is_refused_without_being_repeated(url: str) -> None:
    with pytest.raises(ValueError, match=r"^the address of the object store cannot be used$"):
        open_objects(url)
