"""The wire protocol as values: framing, messages, expected replies, SCRAM, SQL keywords.

Bytes in, facts or bytes out. No socket, no clock, no logging, no event loop: every rule
here is tested by cutting bytes. Imports only the standard library's pure parts, `config`
and `errors`; every room above may import it.
"""
