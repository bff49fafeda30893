"""`python -m bench`: all benchmarks, one table."""

from bench import latency, scale
from bench.command import run

__all__: list[str] = []

if __name__ == "__main__":
    run({"latency": latency.benchmark, "scale": scale.benchmark})
