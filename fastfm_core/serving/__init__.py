"""Trained models without the tape: their graph, a C++ scorer, ranking with a context cache, ONNX."""
