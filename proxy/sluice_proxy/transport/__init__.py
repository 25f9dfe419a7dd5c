"""Sockets: the reactor (edge-triggered epoll, which the event loop waits with), TLS, listeners.

The one room that reads and writes. It parses nothing: bytes go to `session` and come back.
"""
