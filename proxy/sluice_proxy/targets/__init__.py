"""Which servers there are and how they feel: reachable, refusing, their max_connections.

What was learnt from logins, as values; the sockets are `transport`'s. Imports the leaves.
"""
