"""Where events come in and probes are answered: each door names a key to look at, no more.

kopf is imported here and in `__main__` alone. Nothing is decided or written here.
"""
