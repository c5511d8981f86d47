"""Real servers for the tests, as small scripts; they know nothing of Longwatch."""
