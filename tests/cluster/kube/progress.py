"""What a person sees while things take minutes: one line per step, with times."""

import contextlib
import threading
import time
from collections.abc import Iterator

_BEGIN = time.monotonic()
_STILL_SECONDS = 15.0


class Trouble(Exception):
    """Something that the person at the terminal has to hear, in words; shown without a trace."""


def say(text: str) -> None:
    """Prints one line with the seconds since the command began."""
    print(f"[{time.monotonic() - _BEGIN:6.1f} s] {text}", flush=True)


@contextlib.contextmanager
def stage(name: str) -> Iterator[None]:
    """Says when the step begins, that it is still at it, and how long it took."""
    begin = time.monotonic()
    over = threading.Event()
    say(f"{name} …")
    reminder = threading.Thread(target=_remind, args=(name, begin, over), daemon=True)
    reminder.start()
    try:
        yield
    except BaseException:
        say(f"{name}: failed after {time.monotonic() - begin:.1f} s")
        raise
    finally:
        over.set()
        reminder.join()
    say(f"{name}: done in {time.monotonic() - begin:.1f} s")


def _remind(name: str, begin: float, over: threading.Event) -> None:
    while not over.wait(_STILL_SECONDS):
        say(f"{name}: still at it ({time.monotonic() - begin:.0f} s)")
