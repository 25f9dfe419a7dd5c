"""The API `sluice.dev/v1alpha1` as Python: one model for schema, parser and docs.

Here live the pydantic model, the generator that makes the CRD of it, and the words
of conditions. No client, no clock, no file. Every room of the operator may import it,
and so may `sluice_cli`.
"""
