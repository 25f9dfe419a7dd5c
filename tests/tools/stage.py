"""Runs one command of a make target, and says what it is and how long it took."""

import subprocess
import sys
import time


def main() -> int:
    name, *command = sys.argv[1:]
    print(f"== {name}", flush=True)
    began = time.monotonic()
    code = subprocess.call(command)
    verdict = "ok" if code == 0 else f"failed ({code})"
    print(f"== {name}: {verdict}, {time.monotonic() - began:.1f} s", flush=True)
    return code


if __name__ == "__main__":
    sys.exit(main())
