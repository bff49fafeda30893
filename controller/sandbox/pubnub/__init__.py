"""A simulated PubNub: publish, subscribe, history and access manager, on loopback."""

from controller.sandbox.pubnub.access import KeySet
from controller.sandbox.pubnub.server import SUBSCRIBE_KEY, Seen
from controller.sandbox.pubnub.simulator import PubNubSimulator
from controller.sandbox.pubnub.store import Store

__all__ = ["SUBSCRIBE_KEY", "KeySet", "PubNubSimulator", "Seen", "Store"]
