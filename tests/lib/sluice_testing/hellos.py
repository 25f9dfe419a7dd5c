"""ClientHellos as OpenSSL makes them."""

import ssl


def client_hello(*protocols: str) -> bytes:
    """The first flight of a TLS client that offers these by ALPN; in one record up to 16 KiB."""
    context = ssl.create_default_context()
    # Short ones: fewer key shares and ciphers.
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("ECDHE-RSA-AES128-GCM-SHA256")
    return first_flight(context, *protocols)


def first_flight(context: ssl.SSLContext, *protocols: str) -> bytes:
    """What a client with this context says first."""
    if protocols:
        context.set_alpn_protocols(list(protocols))
    said = ssl.MemoryBIO()
    client = context.wrap_bio(ssl.MemoryBIO(), said, server_hostname="orders.shop")
    try:
        client.do_handshake()
    except ssl.SSLWantReadError:
        return said.read()
    raise AssertionError("a handshake without a server")


def long_client_hello(size: int) -> bytes:
    """One that has at least `size` bytes, for what it offers beside `postgresql`."""
    others = (f"{number:0>250}" for number in range(size // 250))
    return client_hello("postgresql", *others)
