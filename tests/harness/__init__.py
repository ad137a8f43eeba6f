"""Harness of the Python suites: starts the real binary, talks to both doors as clients do."""
