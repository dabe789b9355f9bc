"""Everything that outlives a pod: manifests, payload files, labels, claims, ledgers, checkpoints."""
