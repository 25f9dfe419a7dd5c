"""The small HTTP: bytes cut anywhere, and what is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluice_proxy.admin.http import (
    MAX_HEAD,
    Answer,
    BadRequest,
    Request,
    matches,
    parse_request,
    render,
)

GET = (
    b"GET /state?pretty=1 HTTP/1.1\r\nHost: 10.0.0.1:9127\r\n"
    b'If-None-Match:  "abc" \r\nUser-Agent: kube-probe/1.34\r\n\r\n'
)


def test_parse() -> None:
    assert parse_request(GET + b"rest") == Request(
        "GET",
        "/state",
        {"host": "10.0.0.1:9127", "if-none-match": '"abc"', "user-agent": "kube-probe/1.34"},
    )
    assert parse_request(b"GET / HTTP/1.0\r\n\r\n") == Request("GET", "/")


@pytest.mark.parametrize("cut", range(len(GET)))
def test_a_head_that_is_cut_is_incomplete(cut: int) -> None:
    assert parse_request(GET[:cut]) is None


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"\r\n\r\n", 400),
        (b"GET /\r\n\r\n", 400),
        (b"GET / HTTP/2\r\n\r\n", 400),
        (b"GET  / HTTP/1.1\r\n\r\n", 400),
        (b"GET http://x/ HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost : x\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nA: b\r\n folded\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n: b\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\r\n\r\n", 400),
        (b"a" * (MAX_HEAD + 1), 431),
        (b"GET / HTTP/1.1\r\nA: " + b"a" * MAX_HEAD + b"\r\n\r\n", 431),
    ],
)
def test_refuses(data: bytes, status: int) -> None:
    with pytest.raises(BadRequest) as caught:
        parse_request(data)
    assert caught.value.status == status


@given(st.binary(max_size=200).map(lambda data: data + b"\r\n\r\n"))
def test_survives_anything(data: bytes) -> None:
    try:
        request = parse_request(data)
    except BadRequest:
        return
    assert request is not None
    assert request.path.startswith("/")


def test_render() -> None:
    assert render(Answer(200, b"ok\n", headers={"ETag": '"x"'})) == (
        b"HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 3\r\n"
        b'Connection: close\r\nCache-Control: no-store\r\nETag: "x"\r\n\r\nok\n'
    )


def test_not_modified_has_no_length() -> None:
    assert b"Content" not in render(Answer(304, headers={"ETag": '"x"'}))


@pytest.mark.parametrize(
    ("header", "matched"),
    [
        ("", False),
        ('"x"', True),
        ('W/"x"', True),
        ('"a", "x"', True),
        ("*", True),
        ('"a"', False),
        ("x", False),
    ],
)
def test_if_none_match(header: str, matched: bool) -> None:
    assert matches(header, '"x"') is matched
