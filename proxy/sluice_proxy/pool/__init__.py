"""Who gets a server connection: budget, waiters, idle connections.

Every decision is synchronous: `release` grants the next waiter in the same call stack.
No future, task, lock or clock of its own; connecting and closing are asked of a
`Connector`. Imports `wire` and the leaves.
"""
