"""The read-only HTTP port: /metrics, /healthz, /readyz, /state. Nothing here changes anything."""
