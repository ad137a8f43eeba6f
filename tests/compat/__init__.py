"""The S3 door against other projects' own suites."""
