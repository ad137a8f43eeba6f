"""Steps that fail for a reason that is not Pinfold's: {(client, title of the step): reason}."""

EXCUSED = {}
