"""The proxy with its release rule broken on purpose: whoever got ReadyForQuery lets go.

The isolation test starts it to show that its checks can fail.
"""

import sys

from sluice_proxy.session import release


def always(held: release.Holding) -> bool:
    return True


release.may_release = always

# Only now: what imports the rule by name must find the broken one.
from sluice_proxy.__main__ import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main())
