"""What bench_models measures: checkpoints of a preset's true shape, and the same question in plain transformers."""
