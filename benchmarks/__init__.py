"""What spawn costs, measured against its peers in one run on one machine. Goals and the figures of a reference machine: docs/performance.md."""
