"""From generation arguments to what is sent: parameters, the ledger of changes, reasoning, outcomes."""
