"""What follows from what was seen: resolve, plan, poke, status.

Pure functions of observed values and a clock that is handed in. May import `api`,
`desired`, `names` and `sluice_proxy.config`; only `reconcile` and the rooms that fetch
(`cluster`, `proxies`) may import it.
"""
