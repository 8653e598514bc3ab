"""Whether an image can be a base, and what in it a careful person would not want: pure."""

from collections.abc import Iterator, Sequence

from modelpack.errors import Finding, InputError
from modelpack.inputs.base_image.contents import Contents, Finds, Python
from modelpack.lock import Interpreter
from modelpack.platform import Platform

_OLDEST = 9
"minor version of Python 3 that the guard runs on"
_AT = "runtime.base"
_SHOWN = 4


def interpreter(contents: Contents, *, name: str, wanted: str, platform: Platform) -> Interpreter:
    """Return the Python of the base called `name`; `wanted` is `runtime.python`, or nothing.

    Raises InputError, with what to do, where there is none that can be used.
    """
    if contents.musl and not contents.glibc:
        raise InputError(
            f"`{name}` has musl as its C library; wheels here are for glibc", at=_AT,
            hint="choose an image on Debian: a tag with `-slim` or `-bookworm`, not `-alpine`",
        )  # fmt: skip
    if not contents.pythons:
        raise InputError(*_no_python(contents, name))
    if not contents.glibc:
        raise InputError(f"`{name}` has no C library whose version can be told", at=_AT)
    chosen = _chosen(contents, name, wanted)
    if not chosen.version:
        raise InputError(
            f"nothing in `{name}` says which version `{chosen.path}` is", at=_AT,
            hint="choose an image with a CPython that was not changed",
        )  # fmt: skip
    if chosen.machine != platform.machine:
        what = chosen.machine or "no machine that we know"
        raise InputError(
            f"`{chosen.path}` of `{name}` is for {what}, the image is {platform}", at=_AT
        )
    if int(chosen.minor.partition(".")[2]) < _OLDEST:
        raise InputError(
            f"`{name}` has Python {chosen.version}; 3.{_OLDEST} or newer is needed", at=_AT
        )
    return Interpreter(version=chosen.version, path=chosen.path, glibc=contents.glibc)


def _no_python(contents: Contents, name: str) -> Iterator[Finding]:
    if contents.without_library:
        yield Finding(
            message=f"`{contents.without_library[0]}` of `{name}` lacks its standard library",
            at=_AT, hint="choose an image with a whole Python, such as `python:3.13-slim`",
        )  # fmt: skip
        return
    hint = "choose an image with Python in it, such as `python:3.13-slim`"
    if "nvidia" in name or "cuda" in name:
        hint = 'choose one with Python, or `base = "debian:13"` and wheels that bring CUDA'
    yield Finding(message=f"`{name}` holds no CPython in its PATH", at=_AT, hint=hint)


def _chosen(contents: Contents, name: str, wanted: str) -> Python:
    """Return the one that is wanted; else the one that `python3` starts; else the only one."""
    fitting = [python for python in contents.pythons if wanted in ("", python.minor)]
    versions = ", ".join(dict.fromkeys(p.version or p.minor for p in contents.pythons))
    if not fitting:
        raise InputError(
            f"`{name}` has Python {versions}, not {wanted}", at="runtime.python",
            hint=f'set `python = "{contents.pythons[0].minor}"`, or choose another base',
        )  # fmt: skip
    default = [python for python in fitting if python.path == contents.default]
    if not default and len(fitting) > 1 and not wanted:
        raise InputError(
            f"`{name}` has several Pythons, {versions}, and none is called `python3`", at=_AT,
            hint=f'say which one: `python = "{fitting[0].minor}"`',
        )  # fmt: skip
    return [*default, *fitting][0]


def findings(contents: Contents, *, name: str) -> Iterator[Finding]:
    """Yield a warning for each kind of thing that helps whoever gets into a container."""
    none = "the assembled `debian:13` has none"
    for rule, what, finds in (
        ("base.shell", "shells", contents.shells),
        ("base.package-manager", "package managers", contents.package_managers),
        ("base.compiler", "compilers", contents.compilers),
        ("base.setuid", "files that give their owner's rights (setuid, setgid)", contents.setuid),
        ("base.writable", "files or folders of root that everybody may write", contents.writable),
    ):
        if finds.count:
            yield Finding(
                message=f"`{name}` holds {what}: {_listed(finds)}",
                at=_AT, hint=none, rule=rule, severity="warning",
            )  # fmt: skip


def in_the_way(contents: Contents, places: Sequence[str], *, name: str) -> Iterator[Finding]:
    """Yield an error for each of our `places` where the base has files, or a link on the way.

    What lies there would get into the image without having been locked.
    """
    for place in places:
        for path in contents.links:
            if place == path or place.startswith(f"{path}/"):
                yield Finding(
                    message=f"`{path}` of `{name}` is no folder, and `{place}` is to be there",
                    at=_AT, rule="base.occupied", hint="choose another place, or another base",
                )  # fmt: skip
        if any(path == place or path.startswith(f"{place}/") for path in contents.folders):
            yield Finding(
                message=f"`{name}` has files of its own in `{place}`",
                at=_AT, rule="base.occupied", hint="choose another place, or another base",
            )  # fmt: skip


def _listed(finds: Finds) -> str:
    more = f" and {finds.count - _SHOWN} more" if finds.count > _SHOWN else ""
    return ", ".join(f"`{path}`" for path in finds.paths[:_SHOWN]) + more
