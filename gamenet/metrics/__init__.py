"""The status site: how a running server does, as pages, as JSON and for Prometheus.

Layer 4. Runs on: the reactor thread, except :class:`ErrorCounter`, which any thread may call.

``docs/STATUS.rst`` has the endpoints, the names of all figures, and how the actions are guarded.
"""

from gamenet.metrics.connections import (
    CONNECTION_SECONDS,
    IDLE_SECONDS,
    KEPT_SECONDS,
    MAX_BODY_BYTES,
    MAX_CONNECTIONS,
    MAX_HEADER_BYTES,
    StatusChannel,
    StatusSite,
)
from gamenet.metrics.errors import ErrorCounter
from gamenet.metrics.guard import Access
from gamenet.metrics.report import StatusSource, status
from gamenet.metrics.site import StatusResource, status_site

__all__ = [
    "CONNECTION_SECONDS",
    "IDLE_SECONDS",
    "KEPT_SECONDS",
    "MAX_BODY_BYTES",
    "MAX_CONNECTIONS",
    "MAX_HEADER_BYTES",
    "Access",
    "ErrorCounter",
    "StatusChannel",
    "StatusResource",
    "StatusSite",
    "StatusSource",
    "status",
    "status_site",
]
