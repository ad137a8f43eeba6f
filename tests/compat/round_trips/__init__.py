"""Round trips with real S3 clients against a real node; run by tests/compat/clients."""
