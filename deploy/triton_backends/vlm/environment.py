"""The packages that an engine runs on.

    enter(Path(".kefu/envs"), "transformers")   # before the engine is imported

Triton starts every model's process in one environment, but engines do not agree on their packages.  So a process whose
engine has an environment of its own (`<folder>/<name>`, a virtual environment made with the same Python) takes its
packages from there, and from nowhere else: the other environment's are off the path.  What was imported before stays:
the standard library and numpy, which must therefore be the same version in all of them.
"""

from __future__ import annotations

import os
import sys
from collections.abc import MutableMapping
from pathlib import Path


def enter(folder: Path, name: str, environ: MutableMapping[str, str] = os.environ) -> Path | None:
    """Changes this process, and those that it starts; the environment entered, None where there is none of that name.

    RuntimeError when the environment was made with another Python.
    """
    home = (folder / name).absolute()
    if not (home / "bin" / "python").exists():
        return None
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    packages = home / "lib" / version / "site-packages"
    if not packages.is_dir():
        made = ", ".join(sorted(p.name for p in (home / "lib").glob("python3.*"))) or "no Python"
        raise RuntimeError(
            f"{home} was made with {made}, Triton runs models with {version}: make it anew with that one"
        )
    left = environ.get("VIRTUAL_ENV", "")
    sys.path[:] = [
        str(packages),
        *(p for p in sys.path if "site-packages" not in p and not (left and p.startswith(left))),
    ]
    # Engines that start processes of their own start them with this.
    sys.executable = str(home / "bin" / "python")
    environ["VIRTUAL_ENV"] = str(home)
    environ["PYTHONPATH"] = str(packages)
    environ["PATH"] = f"{home / 'bin'}{os.pathsep}{environ.get('PATH', '')}"
    return home
