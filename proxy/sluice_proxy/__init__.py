"""The proxy: terminates PostgreSQL clients and multiplexes them on few server connections.

Rooms, top to bottom; imports go downwards only:

`app`        composition, signals, reload, drain
`admin`      /metrics, /healthz, /readyz, /state
`transport`  sockets, TLS, the reactor
`session`    what one client may expect, and when its server connection is free again
`pool`       who gets a server connection
`targets`    which servers there are, and how they are reached
`wire`       the protocol as values: no socket, no clock
`config`, `errors`, `metrics`, `logs`, `clock`  leaves that every room may import

It never speaks to the Kubernetes API and imports neither kopf nor kubernetes.
"""

__version__ = "0.1.0"
