"""An engine's pictures leave the answer and become uploads of the tenant."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest

from kefu_gateway.adapters.stores.objects import open_objects
from kefu_gateway.adapters.stores.uploads import ObjectUploads
from kefu_gateway.domain.artefacts import Artefacts
from kefu_gateway.domain.uploads import UploadLimits

PICTURE = b"RIFF....WEBP" * 100


@pytest.fixture
def uploads(tmp_path: Path) -> ObjectUploads:
    return ObjectUploads(open_objects(tmp_path.as_uri()), UploadLimits(uploads_per_tenant=2))


def drawn(data: bytes = PICTURE, **more: Any) -> dict[str, Any]:
    encoded = base64.b64encode(data).decode()
    return {"picture": 0, "media_type": "image/webp", "data": encoded, "grid": [3, 4], **more}


async def test_a_picture_becomes_an_upload_of_its_tenant(uploads: ObjectUploads) -> None:
    kept = await Artefacts(uploads).keep("shop", {"prompt": "hi", "attention": [drawn()]})
    (link,) = kept["attention"]
    upload_id = link.pop("upload_id")
    assert kept["prompt"] == "hi"
    assert link == {"picture": 0, "media_type": "image/webp", "grid": [3, 4]}
    file = await uploads.read("shop", upload_id)
    assert file is not None
    assert (file.data, file.media_type) == (PICTURE, "image/webp")
    assert await uploads.read("bank", upload_id) is None


@pytest.mark.parametrize(
    "item",
    [drawn(data=b""), drawn() | {"data": "no base64!"}, drawn(media_type="text/html")],
    ids=["empty", "unreadable", "no picture"],
)
async def test_what_is_no_picture_is_not_kept(uploads: ObjectUploads, item: Any) -> None:
    (link,) = (await Artefacts(uploads).keep("shop", {"attention": [item]}))["attention"]
    assert link["not_kept"] == "UNREADABLE"
    assert "data" not in link


async def test_a_full_store_costs_the_picture_and_not_the_answer(uploads: ObjectUploads) -> None:
    kept = await Artefacts(uploads).keep("shop", {"attention": [drawn()] * 3})
    assert ["upload_id" in link for link in kept["attention"]] == [True, True, False]
    assert kept["attention"][2]["not_kept"] == "QUOTA_EXCEEDED"
