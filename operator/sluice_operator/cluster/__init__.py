"""The one room that speaks to the API server: one small adapter, and its own errors.

Nothing is decided here. No other room may import the Kubernetes client; `reconcile`
and `__main__` may import this one.
"""
