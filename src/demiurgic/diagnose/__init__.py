"""What is wrong with a training, read from its log, its manifest and its ledger. Nothing is trained or loaded here."""
