"""What moved between two locks, a line a thing: for reviewers."""

from collections.abc import Iterator, Mapping

from modelpack.lock import AssembledBase, ImageBase, Lock, PlatformLock, WeightsLock, sources


def differences(before: Lock | None, after: Lock) -> tuple[str, ...]:
    """Return what is new, gone or changed in `after`."""
    return tuple(_lines(before, after))


def _lines(before: Lock | None, after: Lock) -> Iterator[str]:
    old = {item.platform: item for item in before.platforms} if before else {}
    for platform in after.platforms:
        yield from _platform(old.get(platform.platform), platform)
    for gone in sorted(set(old) - {item.platform for item in after.platforms}):
        yield f"{gone} removed"
    yield from _weights(before, after)
    if before is None:
        return
    if before.compressor != after.compressor:
        yield (
            f"compressor {before.compressor.package} {before.compressor.version} -> "
            f"{after.compressor.package} {after.compressor.version}"
        )
    if before.runtime != after.runtime:
        yield "guard and probe changed"


def _platform(before: PlatformLock | None, after: PlatformLock) -> Iterator[str]:
    name = after.platform
    yield from _base(before, after, f"{name} base")
    if before and before.interpreter != after.interpreter:
        was, now = before.interpreter, after.interpreter
        yield from _table(
            {"python": was.version, "glibc": was.glibc},
            {"python": now.version, "glibc": now.glibc}, f"{name} base",
        )  # fmt: skip
    old_wheels = {w.name: w.version for w in before.wheels} if before else {}
    yield from _table(old_wheels, {w.name: w.version for w in after.wheels}, f"{name} wheel")
    rebuilt = {w.name: w.sha256 for w in before.wheels} if before else {}
    for wheel in after.wheels:
        same = old_wheels.get(wheel.name) == wheel.version
        if same and rebuilt[wheel.name] != wheel.sha256:
            yield f"{name} wheel {wheel.name} {wheel.version}: another file"
    if before and before.bytecode != after.bytecode:
        yield f"{name} bytecode {before.bytecode} -> {after.bytecode}"


def _base(before: PlatformLock | None, after: PlatformLock, kind: str) -> Iterator[str]:
    old, new = before.base if before else None, after.base
    if old == new:
        return
    if isinstance(new, AssembledBase) and not isinstance(old, ImageBase):
        packages = {p.name: p.version for p in old.packages} if old else {}
        yield from _table(packages, {p.name: p.version for p in new.packages}, kind)
    elif old is None:
        yield f"{kind} {_named(new)} added"
    elif isinstance(old, ImageBase) and isinstance(new, ImageBase) and (
        old.reference == new.reference
    ):  # fmt: skip
        if old.digest != new.digest:
            yield f"{kind} {new.reference} {old.digest} -> {new.digest}"
        else:
            yield f"{kind} {new.reference}: its variables changed"
    else:
        yield f"{kind} {_named(old)} -> {_named(new)}"


def _named(base: AssembledBase | ImageBase) -> str:
    if isinstance(base, AssembledBase):
        return f"{base.distribution} of {len(base.packages)} packages"
    return base.reference if base.digest in base.reference else f"{base.reference}@{base.digest}"


def _table(before: Mapping[str, str], after: Mapping[str, str], kind: str) -> Iterator[str]:
    for name in sorted({*before, *after}):
        old, new = before.get(name), after.get(name)
        if old is None:
            yield f"{kind} {name} {new} added"
        elif new is None:
            yield f"{kind} {name} {old} removed"
        elif old != new:
            yield f"{kind} {name} {old} -> {new}"


def _weights(before: Lock | None, after: Lock) -> Iterator[str]:
    old = {w.name: {f.path: f.sha256 for f in w.files} for w in before.weights} if before else {}
    new = {w.name: {f.path: f.sha256 for f in w.files} for w in after.weights}
    places = {w.name: w for w in before.weights} if before else {}
    for weights in after.weights:
        yield from _source(places.get(weights.name), weights)
    for name in sorted({*old, *new}):
        was, now = old.get(name, {}), new.get(name, {})
        for path in sorted({*was, *now}):
            if path not in was:
                yield f"weights {name}/{path} added"
            elif path not in now:
                yield f"weights {name}/{path} removed"
            elif was[path] != now[path]:
                yield f"weights {name}/{path} changed"


def _source(before: WeightsLock | None, after: WeightsLock) -> Iterator[str]:
    """Tell of another source, or of another revision of the same one."""
    was, now = sources.pinned(before) if before else "", sources.pinned(after)
    if not now or (before and before.source == after.source):
        return
    if was == now:
        yield f"weights {after.name} from {now}: other versions of its files"
    else:
        yield f"weights {after.name} from {f'{was} -> ' if was else ''}{now}"
