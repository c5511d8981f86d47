"""Evidence and a question to words; knows no camera and no event loop."""
