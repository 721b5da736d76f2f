"""Speed and memory beside other libraries and beside the floor: `make bench`, or `python -m benchmarks --quick`."""
