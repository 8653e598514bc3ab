"""Folders of an image that are not the author's to take."""

from modelpack.spec.problems import Problems

SYSTEM_FOLDERS = (
    "/bin", "/boot", "/dev", "/etc", "/home", "/lib", "/lib32", "/lib64", "/libx32", "/opt/venv",
    "/proc", "/root", "/run", "/sbin", "/sys", "/tmp", "/usr", "/var",  # noqa: S108  a name
)  # fmt: skip


def check_free(folder: str, at: str, problems: Problems, *, hint: str) -> None:
    """Note each folder of the system that `folder` is over."""
    for system in SYSTEM_FOLDERS:
        if overlap(folder, system):
            problems.add(
                at, f"`{folder}` is over the system folder `{system}`", hint=hint,
                rule="system-folder",
            )  # fmt: skip


def overlap(one: str, other: str) -> bool:
    """Tell whether one of two folders holds the other, or they are one."""
    return bool(one and other) and (
        one == other or one.startswith(f"{other}/") or other.startswith(f"{one}/")
    )
