"""The activator: stands in for proxies that have no pod; holds clients, wakes, splices.

Rooms, top to bottom; imports go downwards only:

`app`         composition: the watches, the ports, HTTP, the end
`admin`       /healthz, /readyz, /metrics, /wakes/<namespace>/<name>
`house`       all proxies: whose port is whose, and who waits where
`listening`   accepts clients and hears what they say first
`hello`       pods that say by UDP that they listen
`holding`     the held clients of one proxy, in order of arrival
`dialling`    which pods are dialled for them
`waking`      the wake that they share: looks at the scale, and raises it from zero
`reach`       dials a pod, and makes it prove itself
`trial`       a client at a pod that has proved itself but has not said a byte yet
`splice`      two sockets, bytes both ways, nothing interpreted
`kubernetes`  the API server by HTTPS: slices are listed and watched, scales read and patched
`sockets`, `metrics`  small tools of those above
`decide`      pure: whom to dial, when to look at the scale, what a client is told
`slices`, `first_bytes`  pure: what EndpointSlices mean; what a client's first bytes are
`client_hello`  pure: what a TLS client offers by ALPN

It sees no password, ends no TLS, and needs no operator. Of the proxy it imports constants of
`config`, `wire`, `errors`, `logs` and `admin.http`; nobody imports it.
"""
