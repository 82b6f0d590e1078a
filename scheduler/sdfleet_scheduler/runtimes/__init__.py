"""Adapters to the servers that make the pictures. Each passes the contract suite on recorded answers."""
