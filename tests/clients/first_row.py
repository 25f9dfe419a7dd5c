"""One client that comes alone: when it began, was let in, and had its first row; in JSON.

Where it connects to comes from libpq's environment. The times are seconds since the epoch, by
the clock of the machine, which is also that of every other pod of the node.
"""

import argparse
import json
import os
import socket
import time
from pathlib import Path
from typing import Any

import psycopg
from stream import CONNECT_SECONDS, KINDS


def told(kind: str, address: str, password: str) -> dict[str, Any]:
    """What one client of this kind sees at `address`; `error` if it fails."""
    seen: dict[str, Any] = {"syn": time.time()}
    try:
        with psycopg.connect(
            hostaddr=address, password=password, connect_timeout=CONNECT_SECONDS, **KINDS[kind]
        ) as connection:
            seen["let_in"] = time.time()
            connection.execute("SELECT 1").fetchone()
            seen["first_row"] = time.time()
    except (psycopg.Error, OSError) as error:
        seen["error"] = " ".join(str(error).split())
    return seen


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kind", default="tls", choices=KINDS)
    parser.add_argument("--password-file", type=Path, required=True)
    chosen = parser.parse_args()
    password = chosen.password_file.read_text().strip()
    # What is looked up, loaded or computed for the first time is no part of the wake.
    address = socket.gethostbyname(os.environ["PGHOST"])
    print(json.dumps(told(chosen.kind, address, password)), flush=True)


if __name__ == "__main__":
    main()
