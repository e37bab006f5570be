"""What benchmarks put load on: our service, and what it is compared with.  Each is a process of its own."""
