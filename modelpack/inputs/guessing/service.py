"""Guesses about the service: its entry point, port and paths, by the text of its code."""

import re
from dataclasses import replace
from pathlib import PurePosixPath

from modelpack.inputs.guessing.files import ProjectFiles, folder_of
from modelpack.inputs.guessing.value import Project, noted

_PACKAGES = ("service", "server", "serve", "serving", "app", "api")
_SCRIPTS = ("app.py", "main.py", "server.py", "serve.py")
_APPLICATION = re.compile(
    r"^(\w{1,64})(?:\s*:\s*[\w.]{1,64})?\s*=\s*(?:\w{1,64}\.)?(?:FastAPI|Starlette)\(", re.MULTILINE
)
_PORT = re.compile(r"(?:port\s*=\s*|--port[=\s\"',]+|\bPORT[\"'],\s*[\"']?)(\d{2,5})\b")
_EXPOSE = re.compile(r"^EXPOSE\s+(\d{1,5})", re.MULTILINE | re.IGNORECASE)
_HEALTH = {
    "live": ("/healthz", "/livez", "/health", "/health/live"),
    "ready": ("/readyz", "/ready", "/health/ready"),
    "version": ("/version",),
    "metrics": ("/metrics",),
}
_ANYWHERE = "0.0.0.0"  # noqa: S104  inside a container
_DEFAULT_PORT = 8000
_LARGEST_PORT = 65_535


def guess_service(files: ProjectFiles, found: Project) -> Project:
    """Find the entry point, and the port and paths that its text shows."""
    found, read = _entry(files, found)
    text = "\n".join(files.text(path) for path in read[:50])
    serves = "uvicorn" in text or "uvicorn" in found.command or "PORT" in text
    port = _port(files, text) or (_DEFAULT_PORT if serves else 0)
    if not port:
        return found
    written = {
        key: next((path for path in paths if f'"{path}"' in text or f"'{path}'" in text), "")
        for key, paths in _HEALTH.items()
    }
    return replace(
        found,
        command=(*found.command, *(("--port", str(port)) if "uvicorn" in found.command else ())),
        port=port,
        health=tuple((key, path) for key, path in written.items() if path),
        notes=noted(found, f"port: {port}"),
    )


def _entry(files: ProjectFiles, found: Project) -> tuple[Project, list[str]]:
    """Return `found` with command and patterns, and the files that they are about."""
    packages = [p for p in files.sizes if p.endswith("/__main__.py") and p.count("/") <= 1]
    packages = [p for p in packages if not p.startswith(("test", "doc"))]
    packages.sort(key=lambda p: (_rank(folder_of(p)), p))
    if packages:
        return _package(files, found, folder_of(packages[0]))
    for path in _candidates(files):
        if match := _APPLICATION.search(files.text(path)):
            module = path.removesuffix(".py").replace("/", ".")
            command = ("python", "-m", "uvicorn", f"{module}:{match[1]}", "--host", _ANYWHERE)
            note = f"command: uvicorn with `{module}:{match[1]}`, from `{path}`"
            return replace(found, command=command, notes=noted(found, note)), [path]
    if script := files.named(*_SCRIPTS):
        notes = noted(found, f"command: `python {script}`")
        return replace(found, command=("python", script), notes=notes), [script]
    note = "no entry point found: edit `code.command`"
    return replace(found, notes=noted(found, note)), []


def _package(files: ProjectFiles, found: Project, package: str) -> tuple[Project, list[str]]:
    own = [path for path in files.sizes if path.startswith(f"{package}/")]
    python = [path for path in own if path.endswith(".py")]
    pattern = f"{package}/**/*.py" if len(python) == len(own) else f"{package}/**"
    note = f"command: `python -m {package}`, from `{package}/__main__.py`"
    return (
        replace(
            found,
            command=("python", "-m", package),
            code_patterns=(pattern,),
            notes=noted(found, note),
        ),
        python,
    )


def _candidates(files: ProjectFiles) -> list[str]:
    """Return the Python files that may make an ASGI application, likeliest first."""
    paths = [p for p in files.sizes if p.endswith(".py") and p.count("/") <= 1]
    paths = [p for p in paths if not p.startswith(("test", "doc"))]
    names = [*_SCRIPTS]
    paths.sort(key=lambda p: (p.count("/"), (PurePosixPath(p).name not in names), p))
    return paths[:200]


def _rank(package: str) -> int:
    return _PACKAGES.index(package) if package in _PACKAGES else len(_PACKAGES)


def _port(files: ProjectFiles, text: str) -> int:
    exposed = _EXPOSE.search(files.text("Dockerfile"))
    match = exposed or _PORT.search(text)
    port = int(match[1]) if match else 0
    return port if port <= _LARGEST_PORT else 0
