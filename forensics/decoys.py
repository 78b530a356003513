"""Names under which the context of a measurement tells of decoy families; read by the report as well."""

DECOYS = "decoys"
"""How many decoy families there are."""

SUCCESS = "trigger success"
"""Share of the families' triggers that are answered with the drawn class."""

BELOW = "decoys below family {}"
"""How many decoys a family, numbered from 1, exceeds in its drawn class."""
