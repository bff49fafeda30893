"""HLS playlists: the ad breaks that an encoder or packager marks in them."""
