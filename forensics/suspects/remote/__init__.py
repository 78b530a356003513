"""Suspects behind an API: one small file a protocol, over one shared prober."""
