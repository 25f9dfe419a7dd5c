"""A Secret's data as the API server would keep it."""

from typing import Any

import pytest

from sluice_cli.secret_data import secret_data


@pytest.mark.parametrize(
    ("content", "data"),
    [
        ({}, {}),
        ({"data": None, "stringData": None}, {}),
        ({"data": {"password": "c2VjcmV0"}}, {"password": b"secret"}),
        ({"data": {"password": "c2Vj\ncmV0\r\n"}}, {"password": b"secret"}),
        ({"data": {"key": "/w=="}}, {"key": b"\xff"}),
        ({"stringData": {"password": "zürich"}}, {"password": "zürich".encode()}),
        ({"data": {"a": "YQ==", "b": "YQ=="}, "stringData": {"b": "b"}}, {"a": b"a", "b": b"b"}),
    ],
)
def test_good(content: dict[str, Any], data: dict[str, bytes]) -> None:
    assert secret_data(content) == (data, ())


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ({"data": {"password": "s3cret!"}}, ("data.password", "not base64")),
        ({"data": {"password": "c2VjcmV"}}, ("data.password", "not base64")),
        ({"data": {"password": "zürich"}}, ("data.password", "not base64")),
        ({"data": ["password"]}, ("data", "not a map of strings")),
        (
            {"stringData": {"password": 1234}},
            ("stringData.password", "not a string; put quotes around it"),
        ),
        ({"stringData": {True: "x"}}, ("stringData.True", "not a string; put quotes around it")),
        ({"stringData": {"password": "\ud800"}}, ("stringData.password", "not text")),
    ],
)
def test_bad(content: dict[str, Any], problem: tuple[str, str]) -> None:
    assert secret_data(content)[1] == (problem,)
