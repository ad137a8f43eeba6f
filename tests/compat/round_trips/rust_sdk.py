from .trip import Trip, Unavailable


class RustSdk(Trip):
    name = title = "rust_sdk"

    def version(self):
        raise Unavailable("stub")
