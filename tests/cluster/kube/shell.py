"""Running programs: no stdin, output kept, and an error that quotes what the program said."""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from kube.progress import Trouble

_TAIL_LINES = 25


class CommandFailed(Trouble):
    """A program ended with an error or took too long; the message holds its last lines."""

    def __init__(self, command: tuple[str, ...], reason: str, output: str) -> None:
        tail = "\n".join(output.rstrip().splitlines()[-_TAIL_LINES:])
        super().__init__(f"{' '.join(command)[:300]}: {reason}\n{tail}")
        self.output = output


def run(
    *command: str | Path,
    input: str | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    timeout: float | None = None,
) -> str:
    """The stdout of the command; CommandFailed if it fails, `timeout` in seconds."""
    words = tuple(str(word) for word in command)
    try:
        done = subprocess.run(
            words,
            check=False,
            env={**os.environ, **(env or {})},
            cwd=cwd,
            timeout=timeout,
            capture_output=True,
            text=True,
            errors="replace",
            **({"input": input} if input is not None else {"stdin": subprocess.DEVNULL}),
        )
    except FileNotFoundError:
        raise CommandFailed(words, "there is no such program", "") from None
    except subprocess.TimeoutExpired:
        raise CommandFailed(words, f"no end after {timeout} s", "") from None
    if done.returncode:
        raise CommandFailed(words, f"exit status {done.returncode}", done.stdout + done.stderr)
    return done.stdout


def succeeds(*command: str | Path, env: Mapping[str, str] | None = None, timeout: float) -> bool:
    """Whether the command ends well within `timeout` seconds."""
    try:
        run(*command, env=env, timeout=timeout)
    except CommandFailed:
        return False
    return True
