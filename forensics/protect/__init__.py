"""The owner's proxy: marks the answers of an embedding service that lies behind it."""
