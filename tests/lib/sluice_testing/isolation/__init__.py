"""Many clients who know exactly what they may see, and say so when they see anything else.

`findings` counts what was found, `sessions` and `wire` are the ways to speak to a server,
`state` is what a session's settings must be, `owner` is one client, `acts_…` is what clients do,
`look` compares a session with what its owner knows of it, `life` is one act after the other,
`crowd` lets all of them loose, `mutations` are the proxies that must be found out.
"""
