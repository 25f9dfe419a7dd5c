"""What should exist: one module per kind, `desired_objects(inputs)` for all of them.

Pure functions of frozen inputs: no clock, no randomness that was not handed in, no
environment, no client. May import `api`, `names` and `sluice_proxy.config`; the rooms
above (`decide`, `reconcile`) and `sluice_cli` may import it.
"""
