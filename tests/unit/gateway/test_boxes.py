"""Boxes of a prepared picture, in pixels of the one that the customer sent."""

from __future__ import annotations

from kefu_gateway.domain.answer import Box, Crop, PictureReport, Size


def test_what_was_cut_off_at_every_side_is_counted() -> None:
    """A phone held across: 100 columns cut on the left, 60 on the right, 20 rows above, 30 below; then halved."""
    report = PictureReport(
        index=0,
        sha256="",
        media_type="image/png",
        original=Size(2160, 1050),
        prepared=Size(1000, 500),
        original_bytes=1,
        prepared_bytes=1,
        crop=Crop(top_px=20, bottom_px=30, left_px=100, right_px=60, kind="test"),
    )
    box = report.to_original(Box(10, 20, 1000, 500))
    assert (box.left, box.top, box.right, box.bottom) == (120, 60, 2100, 1020)
