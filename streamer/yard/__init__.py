"""The built-in camera: a synthetic yard whose truth is known, and the training of the checkpoint that ships with it."""
