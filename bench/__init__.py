"""Benchmarks: `python -m bench` runs them all; `python -m bench.latency` and the like run one."""
