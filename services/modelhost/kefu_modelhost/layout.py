"""Turns the wheel's pieces into a server that can be started.

The wheel `nvidia-pytriton` has a whole tritonserver, but its Python backend must first be put together: the backend's
library, its Python helpers and the stub of the right Python version in one folder, our `vlm` beside it.
In NVIDIA's image a whole server is in place already (`home`): its own Python backend is used, beside our `vlm`.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from kefu_modelhost.errors import SetupError

_ASK_PYTHON = """
import json, sysconfig
v = sysconfig.get_config_var
print(json.dumps({"version": v("py_version_short"), "libdir": v("LIBDIR"), "library": v("INSTSONAME"),
                  "packages": sysconfig.get_path("purelib")}))
"""
_SYSTEM_LIBRARIES = ("/usr/lib/x86_64-linux-gnu", "/usr/lib64", "/usr/lib", "/usr/local/lib")


@dataclass(frozen=True, slots=True)
class Layout:
    """What starting the server takes: its binary, the backends' folder, the environment variables it needs, and the
    names of the options it knows."""

    binary: Path
    backends: Path
    environment: dict[str, str]
    flags: frozenset[str]


def prepare(triton_env: Path, backends: Path, run_dir: Path, *, home: str = "") -> Layout:
    """Builds `<run_dir>/backends` anew; SetupError naming what is missing and how to get it."""
    triton_env, backends = triton_env.resolve(), backends.resolve()
    if home:
        return _installed(Path(home), triton_env, backends, run_dir)
    python = triton_env / "bin" / "python"
    if not python.exists():
        raise SetupError(
            f"{triton_env} is no virtual environment: make one with"
            f" `python3 -m venv {triton_env} && {triton_env}/bin/pip install -r requirements/triton.txt`,"
            " or set KEFU_TRITON_ENV"
        )
    told = _ask(python)
    packages, version = Path(told["packages"]), told["version"]
    wheel = packages / "pytriton" / "tritonserver"
    if not (wheel / "bin" / "tritonserver").is_file():
        raise SetupError(
            f"{triton_env} has no tritonserver: `{triton_env}/bin/pip install -r requirements/triton.txt`"
        )
    stub = wheel / "python_backend_stubs" / version / "triton_python_backend_stub"
    if not stub.is_file():
        have = ", ".join(sorted(p.name for p in stub.parent.parent.iterdir()))
        raise SetupError(
            f"{triton_env} is a Python {version}; this Triton runs models with Python {have}"
        )
    library = _libpython(told["libdir"], told["library"], version)
    _require_backend(backends)
    target = run_dir.resolve() / "backends"
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(
        wheel / "backends" / "python",
        target / "python",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    shutil.copy2(stub, target / "python" / stub.name)
    os.chmod(target / "python" / stub.name, 0o755)  # noqa: S103 (a program)
    (target / "vlm").symlink_to(backends / "vlm")
    environment = {
        **_packages(triton_env, packages),
        "LD_LIBRARY_PATH": os.pathsep.join(
            [str(packages / "nvidia_pytriton.libs"), str(library.parent)]
        ),
    }
    binary = wheel / "bin" / "tritonserver"
    return Layout(binary, target, environment, _flags(binary, environment))


def _installed(home: Path, triton_env: Path, backends: Path, run_dir: Path) -> Layout:
    """A server that is installed whole; `triton_env` then has what the engines need, made with the server's Python."""
    binary, python = home / "bin" / "tritonserver", home / "backends" / "python"
    for wanted in (binary, python / "triton_python_backend_stub"):
        if not wanted.is_file():
            raise SetupError(f"{wanted} is missing: KEFU_TRITON_HOME must be a whole Triton")
    target = run_dir.resolve() / "backends"
    shutil.rmtree(target, ignore_errors=True)
    # Copied, not linked: the server refuses a library whose real path is outside its backends' folder.
    shutil.copytree(python, target / "python", ignore=shutil.ignore_patterns("__pycache__"))
    (target / "vlm").symlink_to(backends / "vlm")
    environment = {"PYTHONDONTWRITEBYTECODE": "1"}
    interpreter = triton_env / "bin" / "python"
    if interpreter.exists():
        environment = _packages(triton_env, Path(_ask(interpreter)["packages"]))
    return Layout(binary, target, environment, _flags(binary, environment))


def _require_backend(backends: Path) -> None:
    if not (backends / "vlm" / "model.py").is_file():
        raise SetupError(f"{backends} has no backend `vlm` (KEFU_BACKENDS_DIR)")


def _packages(triton_env: Path, packages: Path) -> dict[str, str]:
    return {
        "PATH": f"{triton_env / 'bin'}{os.pathsep}{os.environ.get('PATH', '')}",
        "VIRTUAL_ENV": str(triton_env),
        "PYTHONPATH": str(packages),
        # The stub writes beside model.py otherwise, and a checkout may be read-only.
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def _flags(binary: Path, environment: dict[str, str]) -> frozenset[str]:
    """The names of the options that this server knows; its help ends with an exit code of its own choice."""
    try:
        told = subprocess.run(
            [str(binary), "--help"],
            capture_output=True,
            timeout=60,
            env={**os.environ, **environment},
            check=False,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise SetupError(f"{binary} does not run: {error}") from error
    text = (told.stdout + told.stderr).decode("utf-8", "replace")
    return frozenset(re.findall(r"^\s*--([a-z0-9-]+)", text, re.MULTILINE))


def _ask(python: Path) -> dict[str, str]:
    try:
        done = subprocess.run(
            [str(python), "-c", _ASK_PYTHON], capture_output=True, check=True, timeout=60
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise SetupError(f"{python} does not run: {error}") from error
    answer: dict[str, str] = json.loads(done.stdout)
    return answer


def _libpython(libdir: str, library: str, version: str) -> Path:
    """The shared library that the stub links; a Python built without one has it in a package of its own."""
    name = f"libpython{version}.so.1.0"
    for folder in (libdir, *_SYSTEM_LIBRARIES):
        if (found := Path(folder) / name).is_file():
            return found
    raise SetupError(
        f"{name} is missing (looked in {libdir} and the system's folders): install the package"
        f" `libpython{version}` (Debian, Ubuntu: `apt-get install libpython{version}`), or build the Python of"
        f" KEFU_TRITON_ENV with --enable-shared (it says its library is {library})"
    )
