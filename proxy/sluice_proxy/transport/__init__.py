"""Sockets: the reactor (edge-triggered epoll nested in the event loop), TLS, listeners.

The one room that reads and writes. It parses nothing: bytes go to `session` and come back.
"""
