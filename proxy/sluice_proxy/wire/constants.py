"""Message types and codes of the PostgreSQL protocol, those that the proxy knows by name.

Types are ints, as indexing `bytes` gives them. Chapter "Message Formats" of the
PostgreSQL documentation is the source.
"""

from typing import Final

# Frontend
QUERY: Final = ord("Q")
PARSE: Final = ord("P")
BIND: Final = ord("B")
DESCRIBE: Final = ord("D")
EXECUTE: Final = ord("E")
CLOSE: Final = ord("C")
FLUSH: Final = ord("H")
SYNC: Final = ord("S")
FUNCTION_CALL: Final = ord("F")
PASSWORD: Final = ord("p")
TERMINATE: Final = ord("X")

# Both
COPY_DONE: Final = ord("c")
COPY_FAIL: Final = ord("f")

# Backend
AUTHENTICATION: Final = ord("R")
NEGOTIATE_PROTOCOL_VERSION: Final = ord("v")
BACKEND_KEY_DATA: Final = ord("K")
PARAMETER_STATUS: Final = ord("S")
READY_FOR_QUERY: Final = ord("Z")
ROW_DESCRIPTION: Final = ord("T")
DATA_ROW: Final = ord("D")
COMMAND_COMPLETE: Final = ord("C")
EMPTY_QUERY: Final = ord("I")
ERROR_RESPONSE: Final = ord("E")
NOTICE_RESPONSE: Final = ord("N")
NOTIFICATION: Final = ord("A")
PARSE_COMPLETE: Final = ord("1")
BIND_COMPLETE: Final = ord("2")
CLOSE_COMPLETE: Final = ord("3")
NO_DATA: Final = ord("n")
PORTAL_SUSPENDED: Final = ord("s")
COPY_IN_RESPONSE: Final = ord("G")
COPY_BOTH_RESPONSE: Final = ord("W")

# Codes that stand where a StartupMessage has its protocol version
PROTOCOL_3_0: Final = 3 << 16
# The newest minor version of protocol 3 that is spoken on either side: long cancel keys.
NEWEST_MINOR: Final = 2
CANCEL_REQUEST: Final = (1234 << 16) | 5678
SSL_REQUEST: Final = (1234 << 16) | 5679
GSSENC_REQUEST: Final = (1234 << 16) | 5680

# Authentication requests
AUTH_OK: Final = 0
AUTH_CLEARTEXT: Final = 3
AUTH_MD5: Final = 5
AUTH_SASL: Final = 10
AUTH_SASL_CONTINUE: Final = 11
AUTH_SASL_FINAL: Final = 12

# Transaction status in ReadyForQuery
IDLE: Final = ord("I")

# The first byte of a TLS handshake (RFC 8446 5.1: ContentType), and of no length that a
# StartupMessage has.
TLS_HANDSHAKE: Final = 0x16
# What TLS calls the protocol (RFC 7301); registered by PostgreSQL.
ALPN: Final = "postgresql"

# PostgreSQL's own limit for a StartupMessage (MAX_STARTUP_PACKET_LENGTH), which does not
# count the length itself.
MAX_STARTUP_LENGTH: Final = 10004
# Of the secret in a cancel key, since 3.2.
MAX_CANCEL_KEY: Final = 256
# PostgreSQL allocates a message at once: PQ_LARGE_MESSAGE_LIMIT is MaxAllocSize - 1.
MAX_MESSAGE_LENGTH: Final = 0x3FFFFFFF
