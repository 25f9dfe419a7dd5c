"""The operator: turns `DatabaseProxy` objects into running proxies.

Here live the API model, the pure makers of Kubernetes objects, the decisions and
the one room that speaks to the API server. It is never on the path of a query.
Of the proxy it may import `sluice_proxy.config` alone: the document both sides know.
"""
