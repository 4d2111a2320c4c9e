"""What models are measured by: one file per suite, found by name in `demiurgic.evaluate.suite.SUITES`."""
