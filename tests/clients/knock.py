"""A client by single bytes: sends what it is told to, and tells what came back; in JSON.

`knock.py HOST PORT [HEX]` connects, sends the bytes, reads until the other end closes or
`--wait` seconds are over, and tells `answer` (hexadecimal), `closed` and `after` (seconds).
`knock.py HOST FIRST-LAST` tries every port, `--wait` seconds each, and tells which are `open`.
"""

import argparse
import json
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

SCANNERS = 50


def knocked(host: str, port: int, words: bytes, wait: float) -> dict[str, Any]:
    begin = time.monotonic()
    answer = b""
    closed = False
    with socket.create_connection((host, port), wait) as door:
        door.sendall(words)
        try:
            while not closed:
                door.settimeout(max(0.01, begin + wait - time.monotonic()))
                data = door.recv(65536)
                answer += data
                closed = not data
        except TimeoutError:
            pass
        except ConnectionResetError:
            closed = True
    after = round(time.monotonic() - begin, 3)
    return {"answer": answer.hex(), "closed": closed, "after": after}


def scanned(host: str, first: int, last: int, wait: float) -> dict[str, Any]:
    def is_open(port: int) -> bool:
        with socket.socket() as door:
            door.settimeout(wait)
            return not door.connect_ex((host, port))

    ports = range(first, last + 1)
    with ThreadPoolExecutor(SCANNERS) as scanners:
        found = list(scanners.map(is_open, ports))
    return {"open": [port for port, opened in zip(ports, found, strict=True) if opened]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("host")
    parser.add_argument("port")
    parser.add_argument("words", nargs="?", default="", type=bytes.fromhex)
    parser.add_argument("--wait", type=float, default=0.5)
    chosen = parser.parse_args()
    first, _, last = chosen.port.partition("-")
    if last:
        told = scanned(chosen.host, int(first), int(last), chosen.wait)
    else:
        told = knocked(chosen.host, int(first), chosen.words, chosen.wait)
    print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main()
