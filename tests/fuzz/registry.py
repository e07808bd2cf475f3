"""All targets, by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.fuzz import (
    beacon_targets,
    body_targets,
    datagram_targets,
    fragment_targets,
    frame_targets,
    identity_targets,
    message_targets,
    resume_targets,
    status_targets,
    stream_targets,
    text_targets,
)

if TYPE_CHECKING:
    from tests.fuzz.harness import Target

MODULES = (
    frame_targets,
    stream_targets,
    resume_targets,
    datagram_targets,
    body_targets,
    fragment_targets,
    message_targets,
    text_targets,
    identity_targets,
    message_targets,
    status_targets,
    beacon_targets,
)
TARGETS: dict[str, Target] = {target.name: target for each in MODULES for target in each.TARGETS}
