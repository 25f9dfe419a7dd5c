"""The words of conditions: their types, and the reasons that are not a Secret's."""

ACCEPTED = "Accepted"
CREDENTIALS_READY = "CredentialsReady"
TARGETS_AVAILABLE = "TargetsAvailable"
PROGRESSING = "Progressing"
READY = "Ready"

TYPES = (ACCEPTED, CREDENTIALS_READY, TARGETS_AVAILABLE, PROGRESSING, READY)
"""In the order in which a proxy comes to life."""
