"""What commands print, made from what the cluster tells. Pure."""
