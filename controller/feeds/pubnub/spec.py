"""`spec.feed.pubnub`, and what the environment sets for PubNub."""

from typing import Annotated

from pydantic import Field

from controller.resources.common import SecretReference, SpecModel
from controller.resources.fields import Matching
from controller.settings import Part

__all__ = ["PubNubSettings", "PubNubSpec"]


class PubNubSettings(Part):
    """Where PubNub is."""

    origin: str = Field("ps.pndsn.com", description="Host, or host:port, of PubNub.")
    tls: bool = Field(True, description="Use TLS for PubNub.")


class PubNubSpec(SpecModel):
    """Channels of PubNub."""

    secret_ref: SecretReference
    """Secret with the key subscribe-key and, if the PubNub key set requires them, auth-key and
    cipher-key."""

    topics: Annotated[
        tuple[
            Annotated[
                str,
                Field(min_length=1, max_length=92),
                Matching(
                    r"^[^,:*/\\\x00-\x20\x7f]*$",
                    "must be the name of one PubNub channel: without comma, colon, asterisk, slash,"
                    " backslash and space",
                ),
            ],
            ...,
        ],
        Field(
            min_length=1,
            max_length=100,
            json_schema_extra={"x-kubernetes-list-type": "set"},
        ),
    ]
    """Names of the PubNub channels to subscribe to: 1 to 100, each of at most 92 characters,
    without wildcards."""
