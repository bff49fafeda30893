"""The image, and the chart on a real node: what `make image` and `make e2e` do."""
