"""Keys: the public claim, shares, timestamp, derivation of secrets, and the encrypted key folder."""
