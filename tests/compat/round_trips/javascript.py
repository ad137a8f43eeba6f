from .trip import Trip, Unavailable


class JavaScript(Trip):
    name = title = "javascript"

    def version(self):
        raise Unavailable("stub")
