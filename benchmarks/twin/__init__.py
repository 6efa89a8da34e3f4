"""A PyTorch twin of FM and DeepFM: same parameters, same batches, same rules, another framework's arithmetic."""
