"""The functional gate: does a running image answer as its author says, within its limits."""
