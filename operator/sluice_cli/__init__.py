"""The `sluice` command: the same manifests, served or checked without a cluster.

It composes the operator's pure rooms (`api`, `desired`) with the proxy's `app`.
It decides nothing of its own, and nothing imports it.
"""
