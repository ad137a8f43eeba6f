from .trip import Trip, Unavailable


class Restic(Trip):
    name = title = "restic"

    def version(self):
        raise Unavailable("stub")
