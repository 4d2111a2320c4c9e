"""Floor 6: what the ledger and manifests say, made readable."""
