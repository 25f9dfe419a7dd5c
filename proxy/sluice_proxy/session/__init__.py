"""What one client may expect: its login, its link to a server connection, its pins.

Decides and forwards; never touches a socket. Speaks to its peers through the small
class `Peer` (write, pause, resume, close) that `transport` implements. Imports
`pool`, `wire` and the leaves; imported by `transport`, `admin` and `app`.
"""
