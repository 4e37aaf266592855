"""Benchmarks: each module measures one claim and writes one committed result."""
