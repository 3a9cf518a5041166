"""Draws the sample pictures.

python -m samples.draw                  # writes samples/*.png
python -m samples.draw --check          # exit code 1 when a picture is not what this would draw

Needs Pillow and the font of the Debian package fonts-noto-cjk (SIL Open Font License 1.1), which is not kept here. The
same Pillow gives the same files, byte for byte; another FreeType may draw the edge of a letter a little differently, so
`--check` compares pixels and allows for that.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from PIL import Image, ImageChops, ImageStat

from samples.canvas import Fonts
from samples.pages import PAGES

_HERE = Path(__file__).parent
_FONT_FOLDER = Path("/usr/share/fonts/opentype/noto")
# Mean difference of a pixel, 0 to 255, up to which two drawings are the same: a moved row of text makes more.
_SAME = 0.2


def main() -> int:
    parser = argparse.ArgumentParser(description="Draws the sample pictures.")
    parser.add_argument("--fonts", type=Path, default=_FONT_FOLDER, metavar="FOLDER")
    parser.add_argument("--out", type=Path, default=_HERE, metavar="FOLDER")
    parser.add_argument("--check", action="store_true", help="compare, and write nothing")
    options = parser.parse_args()
    if not (options.fonts / "NotoSansCJK-Regular.ttc").is_file():
        print(
            f"{options.fonts}: NotoSansCJK-Regular.ttc is not there. It is in the Debian package "
            "fonts-noto-cjk; --fonts says where else to look.",
            file=sys.stderr,
        )
        return 2
    fonts = Fonts(options.fonts)
    stale = 0
    for name, draw in PAGES.items():
        screen = draw(fonts)
        path = options.out / f"{name}.png"
        if not options.check:
            screen.save(path)
            print(f"{path.name}: {path.stat().st_size / 1024:.1f} KiB")
        elif not _is_same(screen.image, path):
            print(f"{path.name} is not what samples/pages.py draws", file=sys.stderr)
            stale += 1
    return 1 if stale else 0


def _is_same(drawn: Image.Image, path: Path) -> bool:
    with Image.open(path) as kept:
        difference = ImageChops.difference(drawn, kept.convert("RGB"))
    return max(ImageStat.Stat(difference).mean) < _SAME


if __name__ == "__main__":
    sys.exit(main())
