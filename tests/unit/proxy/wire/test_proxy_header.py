"""The PROXY header of activators: who may come, from where, and what is answered."""

import hashlib
import hmac
from struct import pack

import pytest

from sluice_proxy.errors import ClientProtocolError
from sluice_proxy.wire.proxy_header import (
    ANSWER_LENGTH,
    MAX_LENGTH,
    NONCE_LENGTH,
    Address,
    answer,
    header,
    header_length,
    parse,
)

UID = "5a1c7a0e-3f64-4d7b-8f0a-6d8f2f5b1c11"
NONCE = bytes(range(NONCE_LENGTH))
CLIENT, POD = ("192.0.2.7", 40_001), ("10.1.2.3", 5433)
CLIENT6, POD6 = ("2001:db8::7", 40_001), ("fd00::3", 5433)
BLOCK = bytes((192, 0, 2, 7, 10, 1, 2, 3)) + pack("!HH", 40_001, 5433)

WHOLE = header(CLIENT, POD, UID, NONCE)


def made(block: bytes = BLOCK, tlvs: bytes = b"", family: int = 0x11, command: int = 0x21) -> bytes:
    rest = block + tlvs
    return b"\r\n\r\n\0\r\nQUIT\n" + pack("!BBH", command, family, len(rest)) + rest


def tlv(kind: int, value: bytes) -> bytes:
    return pack("!BH", kind, len(value)) + value


def proofs(block: bytes = BLOCK, nonce: bytes = NONCE, uid: str = UID) -> bytes:
    proof = hmac.digest(uid.encode(), b"activator" + nonce + block, hashlib.sha256)
    return tlv(0xE0, nonce) + tlv(0xE1, proof)


def test_the_bytes_are_those_of_the_standard() -> None:
    assert made(tlvs=proofs()) == WHOLE
    assert len(WHOLE) == 16 + 12 + 3 + 16 + 3 + 32


def test_the_uid_never_goes_over_the_wire() -> None:
    assert UID.encode() not in WHOLE + answer(UID, NONCE)


@pytest.mark.parametrize(
    ("client", "dialled", "seen"),
    [
        (CLIENT, POD, CLIENT),
        (CLIENT6, POD6, CLIENT6),
        (CLIENT, POD6, CLIENT),
        (CLIENT6, POD, CLIENT6),
        (("::ffff:192.0.2.7", 40_001), POD, CLIENT),
        (CLIENT, ("::ffff:10.1.2.3", 5433), CLIENT),
        (("fe80::1%3", 1), POD6, ("fe80::1", 1)),
        (("192.0.2.7", 65_535), POD, ("192.0.2.7", 65_535)),
    ],
)
def test_the_pod_sees_the_real_client(client: Address, dialled: Address, seen: Address) -> None:
    proxied = parse(header(client, dialled, UID, NONCE), UID)
    assert (proxied.client, proxied.nonce) == (seen, NONCE)


def test_both_addresses_of_ipv6_stand_in_one_block() -> None:
    block = header(CLIENT6, POD6, UID, NONCE)[16:52]
    assert block == bytes.fromhex("20010db8000000000000000000000007") + bytes.fromhex(
        "fd000000000000000000000000000003"
    ) + pack("!HH", 40_001, 5433)


def test_the_answer_proves_who_answers() -> None:
    assert answer(UID, NONCE) == hmac.digest(UID.encode(), b"proxy" + NONCE, hashlib.sha256)
    assert len(answer(UID, NONCE)) == ANSWER_LENGTH
    # Who sends back what it was sent has proved nothing.
    assert answer(UID, NONCE) not in WHOLE


def test_the_length_is_known_from_the_fixed_part_on() -> None:
    for cut in range(16):
        assert header_length(WHOLE[:cut]) == 0, cut
    for cut in range(16, len(WHOLE) + 1):
        assert header_length(WHOLE[:cut]) == len(WHOLE), cut
    assert header_length(WHOLE + b"what the client says") == len(WHOLE)


def test_what_is_not_whole_is_refused() -> None:
    for cut in range(len(WHOLE)):
        with pytest.raises(ClientProtocolError, match="not whole"):
            parse(WHOLE[:cut], UID)
    with pytest.raises(ClientProtocolError, match="not whole"):
        parse(WHOLE + b"\0", UID)


def test_what_begins_otherwise_is_no_header() -> None:
    for cut in range(1, 12):
        wrong = WHOLE[: cut - 1] + bytes((WHOLE[cut - 1] ^ 1,))
        with pytest.raises(ClientProtocolError, match="no PROXY header"):
            header_length(wrong)
    for said in (b"\0\0\0\x08\x04\xd2\x16\x2f", b"\x16\x03\x01", b"PROXY TCP4 192.0.2.7"):
        with pytest.raises(ClientProtocolError, match="no PROXY header"):
            header_length(said)


@pytest.mark.parametrize("command", [0x20, 0x22, 0x11, 0x31])
def test_a_connection_of_the_activators_own_is_refused(command: int) -> None:
    with pytest.raises(ClientProtocolError, match="no TCP connection of a client"):
        parse(made(tlvs=proofs(), command=command), UID)


@pytest.mark.parametrize("family", [0x00, 0x12, 0x22, 0x31])
def test_what_is_not_tcp_is_refused(family: int) -> None:
    with pytest.raises(ClientProtocolError, match="no TCP connection of a client"):
        parse(made(tlvs=proofs(), family=family), UID)


def test_unknown_fields_are_skipped() -> None:
    filled = made(tlvs=tlv(0x04, b"") + proofs() + tlv(0xEA, b"who knows"))
    assert parse(filled, UID).client == CLIENT
    longest = MAX_LENGTH - len(WHOLE) - 3
    assert parse(made(tlvs=proofs() + tlv(0x04, bytes(longest))), UID).client == CLIENT


def test_a_very_long_header_is_not_waited_for() -> None:
    longest = MAX_LENGTH - len(WHOLE) - 3
    with pytest.raises(ClientProtocolError, match="too long"):
        header_length(made(tlvs=proofs() + tlv(0x04, bytes(longest + 1)))[:16])


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        (made(block=b""), "lacks addresses"),
        (made(block=BLOCK[:-1]), "lacks addresses"),
        (made(block=BLOCK, family=0x21), "lacks addresses"),
        (made(tlvs=proofs()[:-1]), "ends within a field"),
        (made(tlvs=proofs() + b"\0\0"), "ends within a field"),
        (made(), "no nonce"),
        (made(tlvs=proofs(nonce=NONCE[:-1])), "no nonce"),
        (made(tlvs=proofs(nonce=NONCE + b"\0")), "no nonce"),
        (made(tlvs=tlv(0xE0, NONCE)), "from no activator"),
        (made(tlvs=tlv(0xE0, NONCE) + tlv(0xE1, b"")), "from no activator"),
        (made(tlvs=proofs()[:19] + tlv(0xE1, proofs()[22:-1])), "from no activator"),
        (made(tlvs=proofs(uid="of another")), "from no activator"),
        (made(tlvs=proofs(block=BLOCK[:-1] + b"\0")), "from no activator"),
        (made(tlvs=tlv(0xE0, bytes(16)) + proofs()[19:]), "from no activator"),
    ],
)
def test_no_other_header_is_taken(wrong: bytes, why: str) -> None:
    with pytest.raises(ClientProtocolError, match=why):
        parse(wrong, UID)


def test_each_byte_of_addresses_and_proof_counts() -> None:
    for place in range(16, len(WHOLE)):
        forged = WHOLE[:place] + bytes((WHOLE[place] ^ 1,)) + WHOLE[place + 1 :]
        with pytest.raises(ClientProtocolError):
            parse(forged, UID)


def test_without_a_uid_nobody_is_known() -> None:
    with pytest.raises(ClientProtocolError, match="from no activator"):
        parse(header(CLIENT, POD, "", NONCE), "")
