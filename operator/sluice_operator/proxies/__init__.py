"""Reads `/state` of the proxies' pods. Writes nothing; only `reconcile` may import it."""
