"""Every branch of `wire` and of `pinning` is taken by their own unit tests, or this fails.

What is measured stands in pyproject.toml.
"""

import subprocess
import sys

TESTS = (
    "tests/unit/proxy/wire",
    "tests/unit/proxy/session/test_pinning.py",
    "tests/unit/proxy/session/test_pinning_names.py",
)


def main() -> int:
    coverage = (sys.executable, "-m", "coverage")
    tests = subprocess.run([*coverage, "run", "-m", "pytest", "--quiet", *TESTS], check=False)
    return tests.returncode or subprocess.run([*coverage, "report"], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
