"""The process ids in cancel keys: each tells which pod of a proxy it comes from.

Bit 31 is zero (clients read it as signed), 11 bits are the pod's tag, 20 bits are random.
"""

import hashlib
import ipaddress
import secrets

_TAG_BITS = 11
_RANDOM_BITS = 20


def tag_of_address(address: str) -> int:
    """The tag of the pod at an IP address, however that is written. Raises ValueError."""
    packed = ipaddress.ip_address(address).packed
    return int.from_bytes(hashlib.sha256(packed).digest()[:2], "big") >> (16 - _TAG_BITS)


def random_tag() -> int:
    """For a pod that does not know its address."""
    return secrets.randbelow(1 << _TAG_BITS)


def new(tag: int) -> int:
    """A process id, never 0."""
    return tag << _RANDOM_BITS | secrets.randbelow((1 << _RANDOM_BITS) - 1) + 1


def tag_of(pid: int) -> int:
    """Which pod gave it; a tag that no pod has for what was never given."""
    return pid >> _RANDOM_BITS
