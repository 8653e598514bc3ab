"""Several files or blobs at once, in few threads; the first error stops the others."""

from collections.abc import Callable, Iterable
from threading import Event
from typing import Final, TypeVar

from modelpack.progress import Advance

THREADS: Final = 4
"blobs at once: two cores that hash never wait for the disk then, in less than 60 MB of buffers"

Item = TypeVar("Item")
Result = TypeVar("Result")


def each(
    work: Callable[[Item, Advance], Result],
    items: Iterable[Item],
    advance: Advance,
    *,
    threads: int = THREADS,
) -> tuple[Result, ...]:
    """Return `work(item, advance)` of all items, in their order."""
    todo = list(items)
    if len(todo) <= 1 or threads <= 1:
        return tuple(work(item, advance) for item in todo)
    from concurrent.futures import (  # noqa: PLC0415  not for an edit of code
        FIRST_EXCEPTION,
        CancelledError,
        ThreadPoolExecutor,
        wait,
    )

    stop = Event()

    def step(count: int) -> None:
        if stop.is_set():
            raise CancelledError
        advance(count)

    with ThreadPoolExecutor(max_workers=min(threads, len(todo))) as pool:
        futures = [pool.submit(work, item, step) for item in todo]
        try:
            finished, _ = wait(futures, return_when=FIRST_EXCEPTION)
        except BaseException:
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
        errors = [error for future in finished if (error := future.exception())]
        if errors:
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
            # Of several at once, a stop is a mere echo.
            raise next((e for e in errors if not isinstance(e, CancelledError)), errors[0])
        return tuple(future.result() for future in futures)
