"""The API server, by HTTPS alone: no client library, two resources, three verbs.

`account` knows who we are there, `http` speaks HTTP/1.1, `watch` follows EndpointSlices and
`scales` reads and patches the scale of a Deployment. Nobody else speaks to the API server.
"""
