"""kopt: faster PyTorch operators, proved right by measurement."""

__version__ = "0.1.0"
