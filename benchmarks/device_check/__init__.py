"""Parts of the device check; ``python benchmarks/device_check`` runs them."""
