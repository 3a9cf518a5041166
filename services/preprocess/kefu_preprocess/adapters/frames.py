"""What the pool and a worker say to each other over a socket pair: a JSON head, then raw bytes.

    ┌────────────┬──────────────┬───────────┬─────────────┐
    │ head bytes │ blob bytes   │ head      │ blob        │
    │ u32, big   │ u64, big     │ JSON      │ pictures    │
    └────────────┴──────────────┴───────────┴─────────────┘

JSON and not pickle: a worker decodes what strangers send, and whoever takes it over must not be able to run code in the
process that asked.
"""

from __future__ import annotations

import json
import struct
from dataclasses import asdict
from typing import Any

from kefu_common.errors import KefuError, Reason
from kefu_preprocess.domain.values import (
    Box,
    Crop,
    CropMode,
    Element,
    ElementKind,
    Finding,
    Job,
    Limits,
    Page,
    Prepared,
    Profile,
    QualityKind,
    Rendered,
    RenderJob,
    Report,
)

PREFIX = struct.Struct(">IQ")
# A head is a report: a few hundred elements at most.
HEAD_LIMIT = 4 * 1024 * 1024


def pack(head: dict[str, Any], blob_bytes: int) -> bytes:
    """Prefix and head of a frame whose blob of `blob_bytes` bytes follows."""
    text = json.dumps(head, separators=(",", ":")).encode()
    return PREFIX.pack(len(text), blob_bytes) + text


def job_head(job: Job | RenderJob, limits: Limits, seconds: float) -> dict[str, Any]:
    """A job without its bytes; `seconds` is how long the worker may take before it ends itself."""
    fields = {name: getattr(job, name) for name in job.__dataclass_fields__ if name != "data"}
    head = {"limits": asdict(limits), "seconds": seconds}
    if isinstance(job, RenderJob):
        return {"render": fields, **head}
    fields["profile"] = asdict(job.profile)
    return {"job": fields, **head}


def read_job(head: dict[str, Any], data: bytes) -> tuple[Job | RenderJob, Limits, float]:
    """The other way round."""
    limits, seconds = Limits(**head["limits"]), float(head["seconds"])
    if "render" in head:
        return RenderJob(data=data, **head["render"]), limits, seconds
    fields = dict(head["job"])
    fields["profile"] = Profile(**fields["profile"])
    fields["crop_mode"] = CropMode(fields["crop_mode"])
    return Job(data=data, **fields), limits, seconds


def prepared_head(prepared: Prepared) -> dict[str, Any]:
    """A result without its bytes; the blob is `data` followed by `marked`."""
    return {"report": asdict(prepared.report), "data_bytes": len(prepared.data)}


def read_prepared(head: dict[str, Any], blob: bytes) -> Prepared:
    """The other way round. Raises KeyError, TypeError or ValueError on anything else."""
    fields = dict(head["report"])
    fields["original_size"] = tuple(fields["original_size"])
    fields["prepared_size"] = tuple(fields["prepared_size"])
    fields["crop"] = Crop(**fields["crop"])
    fields["quality"] = tuple(
        Finding(**{**each, "kind": QualityKind(each["kind"])}) for each in fields["quality"]
    )
    fields["elements"] = tuple(
        Element(number=each["number"], kind=ElementKind(each["kind"]), box=Box(**each["box"]))
        for each in fields["elements"]
    )
    fields["steps"] = tuple(fields["steps"])
    fields["seconds"] = tuple((name, value) for name, value in fields["seconds"])
    split = int(head["data_bytes"])
    return Prepared(data=blob[:split], marked=blob[split:], report=Report(**fields))


def rendered_head(rendered: Rendered) -> dict[str, Any]:
    """Pages without their bytes; the blob is those of all pages, one after the other."""
    pages = [
        {
            "number": page.number,
            "media_type": page.media_type,
            "size": page.size,
            "bytes": len(page.data),
        }
        for page in rendered.pages
    ]
    return {"pages": pages, "total": rendered.total}


def read_rendered(head: dict[str, Any], blob: bytes) -> Rendered:
    """The other way round. Raises KeyError, TypeError or ValueError on anything else."""
    pages = []
    at = 0
    for each in head["pages"]:
        end = at + int(each["bytes"])
        width, height = each["size"]
        page = Page(
            number=int(each["number"]),
            data=blob[at:end],
            media_type=str(each["media_type"]),
            size=(int(width), int(height)),
        )
        pages.append(page)
        at = end
    if at != len(blob):
        raise ValueError("the pages are not as long as they say")
    return Rendered(pages=tuple(pages), total=int(head["total"]))


def error_head(error: KefuError) -> dict[str, Any]:
    """A refusal."""
    return {
        "reason": error.reason.value,
        "message": error.message,
        "field": error.field,
        "metadata": error.metadata,
    }


def read_error(head: dict[str, Any]) -> KefuError:
    """The other way round."""
    return KefuError(
        Reason(head["reason"]), head["message"], field=head["field"], **head["metadata"]
    )
