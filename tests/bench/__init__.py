"""Measures Pinfold beside its peers, in one run, and writes docs/BENCHMARKS.md. Not a test: nothing here passes or fails."""
