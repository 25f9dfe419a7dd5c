"""Every setting of kopf that matters to us, said aloud."""

import kopf

from sluice_operator import names
from sluice_operator.doors.handlers import CHILDREN

OURS = f"{names.LABEL_MANAGED_BY}={names.MANAGED_BY}"
"""What the watches of children are narrowed to, at the server."""

WATCH_SECONDS = 310
"""The longest life of one request of a watch; the API server ends it somewhat earlier."""


def operator_settings() -> kopf.OperatorSettings:
    """kopf as a source of events: it writes nothing, and a silent watch is reopened."""
    settings = kopf.OperatorSettings()
    settings.peering.standalone = True
    settings.posting.enabled = False
    # Neither CRDs nor namespaces need to be listed: `__main__` waits for ours.
    settings.scanning.disabled = True
    settings.watching.server_timeout = WATCH_SECONDS - 10
    settings.watching.client_timeout = WATCH_SECONDS
    settings.watching.connect_timeout = 30
    settings.watching.inactivity_timeout = 70
    settings.watching.chunk_size = 500
    for _, _, kind in CHILDREN:
        settings.watching.label_selectors[kind] = OURS
    # The EndpointSlice controller's carry our labels, too: it takes them from the Service.
    settings.watching.label_selectors["endpointslices"] = f"{names.SLICE_MANAGED_BY}={names.GROUP}"
    # Releases of Helm are Secrets too, large ones, and none of our business.
    settings.watching.field_selectors["secrets"] = "type!=helm.sh/release.v1"
    settings.networking.request_timeout = 30
    settings.networking.connect_timeout = 10
    settings.networking.enforce_retry_after = True
    settings.queueing.worker_limit = 100
    return settings
