"""The programs of tests/drivers: what each of them is asked, and what it answers.

A program is one driver in its own language. It connects to where libpq's environment
variables say, goes through the columns it is given, and prints one JSON line for each.
"""

import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from sluice_testing.door import Door

COLUMNS = (
    "connects", "prepares", "pipelines", "copies", "cancels", "sets", "transactions", "session",
    "loses",
)  # fmt: skip
SILENCE = 90.0  # seconds without an answer until a program hangs
FOLDER = Path(__file__).resolve().parents[2] / "drivers"


@dataclass(frozen=True)
class Program:
    """One row of the matrix; `tool` is what its command needs on the PATH."""

    name: str
    command: tuple[str, ...]
    tool: str = sys.executable
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Cell:
    """`ok`, `n/a` with a reason, or `FAILED: …`.

    Of the clients that prepare, each is told by how many servers it was served: `fewest_`
    and `most_servers` of all of them.
    """

    result: str
    reason: str = ""
    fewest_servers: int = 0
    most_servers: int = 0

    @property
    def failed(self) -> bool:
        return self.result.startswith("FAILED")

    def document(self) -> dict[str, str | int]:
        return {name: value for name, value in asdict(self).items() if value}


Row = dict[str, Cell]


def _python(name: str, file: str, **environment: str) -> Program:
    command = (sys.executable, str(FOLDER / "python" / file))
    return Program(name, command, environment=environment)


PYTHON_PROGRAMS = (
    _python("psycopg", "psycopg3.py"),
    _python("asyncpg", "asyncpg_.py"),
    _python("pg8000", "pg8000_.py"),
    _python("sqlalchemy+psycopg", "sqlalchemy_.py", DIALECT="psycopg"),
    _python("sqlalchemy+asyncpg", "sqlalchemy_.py", DIALECT="asyncpg"),
    _python("django", "django_.py"),
)


def row(
    program: Program, door: Door, other_ca: Path, log: Path, columns: Sequence[str] = COLUMNS
) -> Row:
    """All cells. A program that hangs or dies is started again behind the column that did it."""
    cells: Row = {}
    log.unlink(missing_ok=True)
    while left := [name for name in columns if name not in cells]:
        cells.update(_run(program, door, other_ca, log, left))
    return {name: cells[name] for name in columns}


def _run(program: Program, door: Door, other_ca: Path, log: Path, columns: list[str]) -> Row:
    with log.open("a") as errors:
        process = subprocess.Popen(
            [*program.command, *columns],
            env=_environment(program, door, other_ca),
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
    cells: Row = {}
    try:
        for cell in _answers(process):
            name = str(cell.pop("column"))
            cells[name] = Cell(**cell)
        process.wait(10)
        ending = f"FAILED: the program ended with {process.returncode}: {_last_line(log)}"
    except (queue.Empty, subprocess.TimeoutExpired):
        ending = f"FAILED: no answer within {SILENCE:.0f} s"
    finally:
        process.kill()
    unanswered = [name for name in columns if name not in cells]
    return cells | {name: Cell(ending) for name in unanswered[:1]}


def _environment(program: Program, door: Door, other_ca: Path) -> dict[str, str]:
    return {
        **os.environ,
        **program.environment,
        "PGHOST": door.host,
        "PGPORT": str(door.port),
        "PGUSER": door.user,
        "PGPASSWORD": door.password,
        "PGDATABASE": door.database,
        "PGSSLMODE": "verify-full",
        "PGSSLROOTCERT": door.ca_file,
        "OTHER_CA": str(other_ca),
    }


def _answers(process: subprocess.Popen[str]) -> Iterator[dict[str, Any]]:
    """Raises queue.Empty where the next one does not come in time."""
    lines: queue.Queue[str] = queue.Queue()

    def read() -> None:
        with process:  # closes its end of the pipe
            for line in process.stdout or ():
                lines.put(line)
            lines.put("")

    threading.Thread(target=read, daemon=True).start()
    while line := lines.get(timeout=SILENCE):
        yield json.loads(line)


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").split("\n")
    return next((line for line in reversed(lines) if line.strip()), "")[:300]
