from .trip import Trip, Unavailable


class Duck(Trip):
    name = title = "duck"

    def version(self):
        raise Unavailable("stub")
