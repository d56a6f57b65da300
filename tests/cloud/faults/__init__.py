"""The whole of spawn on EC2 under every fault of the laboratory: engine, store, ledger, provider and acted instances, in one thread and on one clock."""
