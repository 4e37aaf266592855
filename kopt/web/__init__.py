"""The dashboard and HTTP API will live here; nothing is served yet."""
