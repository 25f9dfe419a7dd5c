"""Message types and codes of the PostgreSQL protocol, those that the proxy knows by name.

Types are ints, as indexing `bytes` gives them. Chapter "Message Formats" of the
PostgreSQL documentation is the source.
"""

from typing import Final

# Frontend
QUERY: Final = 0x51  # Q
PARSE: Final = 0x50  # P
BIND: Final = 0x42  # B
DESCRIBE: Final = 0x44  # D
EXECUTE: Final = 0x45  # E
CLOSE: Final = 0x43  # C
FLUSH: Final = 0x48  # H
SYNC: Final = 0x53  # S
FUNCTION_CALL: Final = 0x46  # F
PASSWORD: Final = 0x70  # p
TERMINATE: Final = 0x58  # X

# Both
COPY_DONE: Final = 0x63  # c
COPY_FAIL: Final = 0x66  # f

# Backend
AUTHENTICATION: Final = 0x52  # R
NEGOTIATE_PROTOCOL_VERSION: Final = 0x76  # v
BACKEND_KEY_DATA: Final = 0x4B  # K
PARAMETER_STATUS: Final = 0x53  # S
READY_FOR_QUERY: Final = 0x5A  # Z
ROW_DESCRIPTION: Final = 0x54  # T
DATA_ROW: Final = 0x44  # D
COMMAND_COMPLETE: Final = 0x43  # C
EMPTY_QUERY: Final = 0x49  # I
ERROR_RESPONSE: Final = 0x45  # E
NOTICE_RESPONSE: Final = 0x4E  # N
NOTIFICATION: Final = 0x41  # A
PARSE_COMPLETE: Final = 0x31  # 1
BIND_COMPLETE: Final = 0x32  # 2
CLOSE_COMPLETE: Final = 0x33  # 3
NO_DATA: Final = 0x6E  # n
PORTAL_SUSPENDED: Final = 0x73  # s
COPY_IN_RESPONSE: Final = 0x47  # G
COPY_BOTH_RESPONSE: Final = 0x57  # W

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
IDLE: Final = 0x49  # I
IN_TRANSACTION: Final = 0x54  # T

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
