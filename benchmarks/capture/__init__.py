"""The parts of bench_capture: what is filmed, and one file per question asked of it."""
