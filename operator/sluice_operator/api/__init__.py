"""The API `sluice.dev/v1alpha1` as Python: one model for schema, parser and docs.

Here live the pydantic model, the generators that make the CRD and docs/reference.md of it,
and the words of conditions. No client, no clock, no file. Every room of the operator may
import it, and so may `sluice_cli`.
"""
