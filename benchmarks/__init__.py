"""What crunch_game costs, beside its peers and beside the floor: `make bench`, or `python -m benchmarks`."""
