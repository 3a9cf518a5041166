"""metadata.py PYPROJECT FOLDER: the record of our distribution, for `importlib.metadata.version("kefu")`.

The code is copied, not installed: an image needs no build backend, and its packages are exactly those of the lock.
"""

import sys
import tomllib
from pathlib import Path

project = tomllib.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))["project"]
folder = Path(sys.argv[2]) / f"{project['name']}-{project['version']}.dist-info"
folder.mkdir(parents=True)
text = f"Metadata-Version: 2.4\nName: {project['name']}\nVersion: {project['version']}\n"
(folder / "METADATA").write_text(text, encoding="utf-8")
