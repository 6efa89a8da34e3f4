"""Fuzzing of readers and scanners: hypothesis in the suite, a coverage-guided run by hand."""
