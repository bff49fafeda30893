"""`python -m bench`: all benchmarks, one table."""

from bench import deciding, gateway, hls, latency, memory, scale, throughput
from bench.command import run

__all__: list[str] = []

if __name__ == "__main__":
    run(
        {
            "deciding": deciding.benchmark,
            "gateway": gateway.benchmark,
            "hls": hls.benchmark,
            "latency": latency.benchmark,
            "scale": scale.benchmark,
            "memory": memory.benchmark,
            "throughput": throughput.benchmark,
        }
    )
