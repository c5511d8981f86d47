"""What `benchmarks.bench_crash` kills, and how it looks at what is left."""
