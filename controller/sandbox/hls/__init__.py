"""Simulated live HLS playlists with ad breaks in them, in each dialect of markers."""

from controller.sandbox.hls.server import HlsSimulator
from controller.sandbox.hls.stream import Dialect, StreamOptions

__all__ = ["Dialect", "HlsSimulator", "StreamOptions"]
